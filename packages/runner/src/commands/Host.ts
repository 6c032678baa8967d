/** A host: the database over HTTP, until the process is told to stop. */
import { Server } from "@caravel/http"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as HttpServer from "@effect/platform/HttpServer"
import { Effect, Layer, Option } from "effect"
import { createServer } from "node:http"
import process from "node:process"
import { Failed, Output } from "../terminal/Output.js"
import * as CredentialsFile from "./CredentialsFile.js"
import * as UsedSignatures from "./UsedSignatures.js"

/** Where a host listens, and the file of its credentials. */
export interface Settings {
  readonly host: string
  readonly port: number
  readonly credentials: Option.Option<string>
  readonly rateLimit: Option.Option<number>
}

/** Serves until it is interrupted, which is a success: requests that are running are still answered. */
export const serve = Effect.fn("Serve.serve")(function*({ credentials, host, port, rateLimit }: Settings) {
  const output = yield* Output
  if (Option.isNone(credentials) && !["127.0.0.1", "::1", "localhost"].includes(host)) {
    const message = `Without credentials only this machine is served: give --credentials to listen on ${host}`
    return yield* new Failed({ message })
  }
  const server = Option.isNone(credentials) ? Server.layer() : Server.layerWithCredentials({
    credentials: yield* CredentialsFile.credentials(credentials.value, output),
    rateLimit: Option.getOrUndefined(rateLimit)
  }).pipe(Layer.provide(UsedSignatures.layer))
  const node = createServer()
  const listening = yield* Effect.mapError(
    Layer.build(NodeHttpServer.layer(() => node, { host, port })),
    ({ cause }) => new Failed({ message: cause instanceof Error ? cause.message : String(cause) })
  )
  // Closing the server waits for connections. Once all requests are answered, nothing is left that is worth it.
  yield* Effect.addFinalizer(() => Effect.sync(() => node.closeAllConnections()))
  yield* Layer.build(Layer.provide(server, Layer.succeedContext(listening)))
  const url = yield* Effect.provide(HttpServer.addressFormattedWith(Effect.succeed), listening)
  yield* output.note(`Listening on ${url}; see ${url}/docs`)
  if (Option.isNone(credentials)) {
    yield* output.note(
      "No credential is configured: only this machine is served, and everyone on it is an administrator"
    )
  }
  return yield* Effect.onInterrupt(Effect.never, () => Effect.sync(() => process.exitCode = 0))
}, Effect.scoped)
