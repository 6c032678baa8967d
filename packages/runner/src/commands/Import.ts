/** `caravel import`: importing another Caravel-style database. */
import type { StorageError } from "@caravel/domain"
import { withoutSecrets } from "@caravel/domain/adapter"
import { Import, Sqlite } from "@caravel/sql"
import * as Args from "@effect/cli/Args"
import * as Options from "@effect/cli/Options"
import { Effect, Layer } from "effect"
import { database, fileArgument, json, layerOf, writable } from "../cli/Arguments.js"
import type { DatabaseName } from "../cli/DatabaseName.js"
import { mustBeReadable } from "../cli/InputFile.js"
import * as Layout from "../terminal/Layout.js"
import { Failed, Output, type OutputClosed, type Style, toTheEnd } from "../terminal/Output.js"
import { counted, number, ProgressBar } from "../terminal/ProgressBar.js"
import * as Render from "../terminal/Render.js"
import * as Subcommand from "./Subcommand.js"

/** A refused row, as a line for people. */
const refusalLine = ({ key, reason, table }: Import.Refused, style: Style): string =>
  `${style.yellow(readable(`${table} ${key}`))}  ${readable(reason)}`

const readable = (text: string) =>
  Layout.shortened(Layout.oneLine(withoutSecrets(text)).replace(/\b[0-9a-f]{64}\b/g, Render.short))

const covered = ({ activities, relays, tenants }: Import.Report) =>
  `${counted(tenants, "tenant")}, ${counted(relays, "relay")} and ${number(activities)} ${
    activities === 1 ? "activity" : "activities"
  }`

/** The report's remarks, besides its numbers. */
const notes = ({ ignored, renamed }: Import.Report) => [
  ...(renamed === 0
    ? []
    : [`${number(renamed)} activity ids are not UUIDs: they were replaced, and kept as causationId`]),
  ...(ignored.length === 0 ? [] : [`Unknown columns were ignored: ${Layout.oneLine(ignored.join(", "))}`])
]

/** Imports a file, and prints each refusal as it occurs. Fails if there was any. */
const run = Effect.fn("Import.run")(
  function*({ dryRun, file, json }: {
    readonly file: string
    readonly dryRun: boolean
    readonly json: boolean
  }): Effect.fn.Return<
    void,
    Failed | OutputClosed | StorageError | Import.UnusableSource,
    Import.Target | Output
  > {
    const output = yield* Output
    const { isTerminal, print, style } = output
    const asText = isTerminal && !json
    const report = yield* Effect.scoped(Effect.flatMap(ProgressBar.make(output, "row"), (bar) =>
      Import.run({
        source: file,
        dryRun,
        onStep: ({ items, total }, refused) =>
          Effect.gen(function*() {
            if (refused.length > 0) yield* bar.clear
            for (const refusal of refused) {
              yield* print(asText ? refusalLine(refusal, style) : withoutSecrets(JSON.stringify(refusal)))
            }
            yield* bar.show(items, total)
          })
      }))).pipe(
        Effect.onInterrupt(() =>
          output.isErrorTerminal && !dryRun
            ? output.note("Interrupted; run the same command again to continue from here")
            : Effect.void
        )
      )
    const { refused } = report
    if (!asText) yield* print(JSON.stringify({ ok: refused === 0, dryRun, ...report }))
    else {
      const done = `${dryRun ? "Would import" : "Imported"} ${covered(report)}`
      yield* print(refused === 0 ? style.green(done) : `${done}; ${style.bold(`refused ${counted(refused, "row")}`)}`)
      for (const note of notes(report)) yield* print(style.dim(note))
    }
    if (refused > 0) return yield* new Failed({ message: "" })
  },
  toTheEnd
)

/** The database to import into. A dry run creates none. */
const target = (database: DatabaseName, dryRun: boolean) =>
  dryRun
    ? Layer.catchAll(
      layerOf(database, { create: false, migrate: false }),
      (error) => error.reason === "missing" ? Sqlite.layerTemporary : Layer.fail(error)
    )
    : Layer.unwrapEffect(Effect.as(writable(database), layerOf(database, { create: true, migrate: true })))

/** The subcommands of this family. */
export const subcommands: ReadonlyArray<Subcommand.Subcommand> = [
  Subcommand.make({
    name: "import",
    help:
      "Imports another Caravel-style database: its rows and its activity log, field for field. Rows that cannot be " +
      "imported are reported, and the exit code is then 1. Run an interrupted import again to continue it.",
    options: {
      file: fileArgument("FILE").pipe(
        Args.withDescription(
          "An SQLite file with the tables tenant, relay and activity, and times in Unix seconds. It is only read. Required."
        )
      ),
      dryRun: Options.boolean("dry-run").pipe(
        Options.withDescription(
          "Runs the import, reports the result and rolls everything back; other writers wait meanwhile."
        )
      ),
      json,
      database
    },
    execute: (options) =>
      Effect.zipRight(
        mustBeReadable(options.file),
        Effect.provide(run(options), target(options.database, options.dryRun))
      )
  })
]
