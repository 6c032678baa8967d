/** `caravel serve`: the database over HTTP, until the process is told to stop. */
import * as Options from "@effect/cli/Options"
import { Effect } from "effect"
import { create, onWritable } from "../cli/Arguments.js"
import { Output } from "../terminal/Output.js"
import { withLog } from "./HostLog.js"
import * as Settings from "./Settings.js"
import * as Subcommand from "./Subcommand.js"

// Loaded here, as no other subcommand needs the libraries of a host.
const load = Effect.promise(async () => {
  const { serve } = await import("./Host.js")
  return serve
})

// The database is opened within, so that its lines have the format of the log too.
const hosted = (options: { readonly settings: Settings.Settings } & Parameters<typeof serving>[0]) =>
  Effect.flatMap(
    Output,
    ({ isErrorTerminal }) => withLog(options.settings.log ?? (isErrorTerminal ? "pretty" : "json"))(serving(options))
  )

const serving = onWritable(({ settings }: { readonly settings: Settings.Settings }) =>
  Effect.flatMap(load, (serve) => serve(settings))
)

/** The subcommands of this family. */
export const subcommands: ReadonlyArray<Subcommand.Subcommand> = [
  Subcommand.make({
    name: "serve",
    help:
      "Serves the database over HTTP until SIGTERM or Ctrl-C, and then still answers the requests that are running. " +
      "GET /docs has the documentation of the API, and /openapi.json describes it to programs. Each setting is an option, an " +
      "environment variable, such as CARAVEL_MAX_BODY for --max-body, or a member of the --config file, such as maxBody; the " +
      "first of these decides.",
    options: {
      ...Settings.options,
      config: Options.text("config").pipe(
        Options.withPseudoName("file"),
        Options.optional,
        Options.withDescription("A JSON file of settings. Also CARAVEL_CONFIG.")
      ),
      check: Options.boolean("check").pipe(
        Options.withDescription(
          "Only validates the settings and the credentials, and shows where each setting was found."
        )
      ),
      create
    },
    execute: ({ check, config, create, ...given }) =>
      Effect.gen(function*() {
        const read = yield* Settings.read(given, config)
        const { settings } = read
        if (!check) return yield* hosted({ settings, create, database: Settings.databaseOf(settings) })
        const output = yield* Output
        yield* Effect.forEach(Settings.shown(read), output.print)
        yield* output.note("The settings are valid")
      })
  })
]
