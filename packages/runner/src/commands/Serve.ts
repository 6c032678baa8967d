/** `caravel serve`: the database over HTTP, until the process is told to stop. */
import * as Options from "@effect/cli/Options"
import * as HttpServer from "@effect/platform/HttpServer"
import { Effect, Layer } from "effect"
import { createServer } from "node:http"
import process from "node:process"
import { create, database, onWritable } from "../cli/Arguments.js"
import * as Values from "../cli/Values.js"
import { Failed, Output } from "../terminal/Output.js"
import * as Subcommand from "./Subcommand.js"

// No credential can be configured yet, so only this machine is served.
const host = "127.0.0.1"

// Loaded here, as no other subcommand needs them.
const libraries = Effect.promise(() =>
  Promise.all([import("@caravel/http"), import("@effect/platform-node/NodeHttpServer")])
)

/** Serves until it is interrupted, which is a success: requests that are running are still answered. */
const serve = Effect.fn("Serve.serve")(function*({ port }: { readonly port: number }) {
  const output = yield* Output
  const [{ Server }, NodeHttpServer] = yield* libraries
  const node = createServer()
  const listening = yield* Effect.mapError(
    Layer.build(NodeHttpServer.layer(() => node, { host, port })),
    ({ cause }) => new Failed({ message: cause instanceof Error ? cause.message : String(cause) })
  )
  // Closing the server waits for connections. Once all requests are answered, nothing is left that is worth it.
  yield* Effect.addFinalizer(() => Effect.sync(() => node.closeAllConnections()))
  yield* Layer.build(Layer.provide(Server.layer({ loopbackOnly: true }), Layer.succeedContext(listening)))
  const url = yield* Effect.provide(HttpServer.addressFormattedWith(Effect.succeed), listening)
  yield* output.note(`Listening on ${url}; see ${url}/docs`)
  yield* output.note("No credential is configured: only this machine is served, and everyone on it is an administrator")
  return yield* Effect.onInterrupt(Effect.never, () => Effect.sync(() => process.exitCode = 0))
}, Effect.scoped)

/** The subcommands of this family. */
export const subcommands: ReadonlyArray<Subcommand.Subcommand> = [
  Subcommand.make({
    name: "serve",
    help:
      "Serves the database over HTTP until SIGTERM or Ctrl-C, and then still answers the requests that are running. " +
      "GET /docs has the documentation of the API, and /openapi.json describes it to programs.",
    options: {
      port: Values.option("port", Values.integer(0)).pipe(
        Options.withPseudoName("port"),
        Options.withDefault(8080),
        Options.withDescription("The TCP port; 0 is any free port. Default: 8080.")
      ),
      create,
      database
    },
    execute: onWritable(serve)
  })
]
