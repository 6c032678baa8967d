/** A bare server of Node whose handlers are naive Effect: `sql.withTransaction` for each command, then `PubSub.publish`. */
import { Effect, Runtime, type Scope } from "effect"
import { createServer, type IncomingMessage, type RequestListener } from "node:http"
import type { AddressInfo } from "node:net"
import type { Input } from "../Input.js"
import type { OpenOptions } from "../Subject.js"
import * as NaiveEffect from "../subjects/NaiveEffect.js"

const tags: { readonly [path: string]: Input["_tag"] } = {
  "/v1/commands/create-relay": "createRelay",
  "/v1/commands/deactivate-relay": "deactivateRelay"
}

const bodyOf = async (request: IncomingMessage) => {
  let text = ""
  request.setEncoding("utf8")
  for await (const part of request) text += String(part)
  return JSON.parse(text) as Omit<Input, "_tag">
}

/** Serves a file. Returns the port. */
export const serve = (options: OpenOptions): Effect.Effect<number, never, Scope.Scope> =>
  Effect.gen(function*() {
    const sql = yield* NaiveEffect.client(options)
    const { execute, follow } = yield* NaiveEffect.over(sql)
    yield* Effect.forkScoped(follow(() => Effect.void))
    const run = Runtime.runPromise(yield* Effect.runtime<never>())

    const answer = async (request: IncomingMessage): Promise<unknown> => {
      const { url = "" } = request
      const _tag = tags[url]
      if (_tag !== undefined) return run(execute({ _tag, ...await bodyOf(request) } as Input))
      const id = url.replace("/v1/relays/", "")
      const [relay] = await run(Effect.orDie(sql`SELECT * FROM caravel_relay WHERE id = ${id}`))
      return relay
    }
    const listener: RequestListener = (request, response) => {
      answer(request).then(
        (answer) => response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(answer)),
        (error: unknown) => response.writeHead(500).end(String(error))
      )
    }
    const server = yield* Effect.acquireRelease(
      Effect.sync(() => createServer(listener)),
      (server) => Effect.sync(() => server.close())
    )
    yield* Effect.async<void>((resume) => void server.listen(0, "127.0.0.1", () => resume(Effect.void)))
    return (server.address() as AddressInfo).port
  })
