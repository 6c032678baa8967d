/** `caravel serve` as a process on a file, and requests to it that tell how they failed. */
import { Deferred, Effect } from "effect"
import { type Agent, request } from "node:http"
import { start, temporary } from "./process.js"

/** A directory that is removed when the scope closes. */
export const directory = Effect.map(
  Effect.acquireRelease(Effect.sync(temporary), ({ remove }) => Effect.sync(remove)),
  ({ path }) => path
)

/**
 * A host without credentials on the file `db` of a directory, once it listens. It is killed at the end of the scope at
 * the latest.
 */
export const host = (directory: string, ...args: ReadonlyArray<string>) =>
  Effect.acquireRelease(
    Effect.gen(function*() {
      const listening = yield* Deferred.make<string>()
      const exit = yield* Deferred.make<{ readonly code: number | null; readonly stderr: string }>()
      const child = start(["serve", "--create", "--database", "db", "--port", "0", ...args], directory)
      let stderr = ""
      let isListening = false
      child.stderr.setEncoding("utf8").on("data", (text: string) => {
        stderr += text
        if (isListening) return
        const [, url] = /Listening on (\S+);[^]*administrator/.exec(stderr) ?? []
        isListening = url !== undefined
        if (url !== undefined) Deferred.unsafeDone(listening, Effect.succeed(url))
      })
      child.on("close", (code) => {
        Deferred.unsafeDone(exit, Effect.succeed({ code, stderr }))
        Deferred.unsafeDone(listening, Effect.dieMessage(`the host ended: ${stderr}`))
      })
      const signal = (name: NodeJS.Signals) => Effect.sync(() => void child.kill(name))
      return {
        url: yield* Deferred.await(listening),
        pid: child.pid!,
        signal,
        /** The exit code, when the host has ended, and all of its standard error. */
        ended: Deferred.await(exit)
      }
    }),
    ({ ended, signal }) => Effect.zipRight(signal("SIGKILL"), ended)
  )

/** What became of a request: an answer, or the code of the error. */
export interface Outcome {
  readonly status?: number | undefined
  readonly retryAfter?: string | undefined
  readonly text?: string
  readonly error?: string
}

/** Sends a command by a connection of the agent. */
export const send = (url: string, agent: Agent, path: string, body: unknown, idempotencyKey: string) =>
  Effect.async<Outcome>((resume) => {
    const failed = (error: NodeJS.ErrnoException) => resume(Effect.succeed({ error: error.code ?? error.message }))
    const headers = { "content-type": "application/json", "idempotency-key": idempotencyKey }
    request(`${url}/v1/commands/${path}`, { method: "POST", agent, headers }, (response) => {
      let text = ""
      response.setEncoding("utf8").on("data", (part: string) => text += part).on("error", failed)
      response.on(
        "end",
        () => resume(Effect.succeed({ status: response.statusCode, retryAfter: response.headers["retry-after"], text }))
      )
    }).on("error", failed).end(JSON.stringify(body))
  })
