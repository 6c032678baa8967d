/** `caravel serve`: the database over HTTP, until the process is told to stop. */
import * as Options from "@effect/cli/Options"
import { Config, Effect } from "effect"
import { create, database, onWritable } from "../cli/Arguments.js"
import * as Values from "../cli/Values.js"
import type { Settings } from "./Host.js"
import * as Subcommand from "./Subcommand.js"

// Loaded here, as no other subcommand needs the libraries of a host.
const load = Effect.promise(async () => {
  const { serve } = await import("./Host.js")
  return serve
})

const serve = (settings: Settings) => Effect.flatMap(load, (serve) => serve(settings))

/** The subcommands of this family. */
export const subcommands: ReadonlyArray<Subcommand.Subcommand> = [
  Subcommand.make({
    name: "serve",
    help:
      "Serves the database over HTTP until SIGTERM or Ctrl-C, and then still answers the requests that are running. " +
      "GET /docs has the documentation of the API, and /openapi.json describes it to programs.",
    options: {
      host: Options.text("host").pipe(
        Options.withPseudoName("address"),
        Options.withDefault("127.0.0.1"),
        Options.withDescription(
          "The address to listen on. Another than this machine's needs --credentials. Default: 127.0.0.1."
        )
      ),
      port: Values.option("port", Values.integer(0)).pipe(
        Options.withPseudoName("port"),
        Options.withDefault(8080),
        Options.withDescription("The TCP port; 0 is any free port. Default: 8080.")
      ),
      credentials: Options.text("credentials").pipe(
        Options.withPseudoName("file"),
        Options.withFallbackConfig(Config.nonEmptyString("CARAVEL_CREDENTIALS")),
        Options.optional,
        Options.withDescription(
          "The JSON file of the credentials, read again on SIGHUP. Also CARAVEL_CREDENTIALS. Without it, everyone on this " +
            "machine is an administrator, and nobody else is served."
        )
      ),
      rateLimit: Values.option("rate-limit", Values.integer(1)).pipe(
        Options.withPseudoName("number"),
        Options.optional,
        Options.withDescription("The maximum number of requests per minute of each credential. Default: no limit.")
      ),
      create,
      database
    },
    execute: onWritable(serve)
  })
]
