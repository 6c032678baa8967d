/** `caravel migrate`: bringing the schema of the database up to date. */
import type { StorageError } from "@caravel/domain"
import { OlderSchema, schemaVersion } from "@caravel/sql"
import * as Options from "@effect/cli/Options"
import { Effect, Layer } from "effect"
import { database, json, layerOf, writable } from "../cli/Arguments.js"
import type { DatabaseName } from "../cli/DatabaseName.js"
import { type Failed, Output, type OutputClosed } from "../terminal/Output.js"
import * as Subcommand from "./Subcommand.js"

const open = (database: DatabaseName, migrate: boolean) =>
  Effect.scoped(Effect.asVoid(Layer.build(layerOf(database, { create: false, migrate }))))

/** The version of the schema. Changes nothing. */
const versionOf = (database: DatabaseName) =>
  Effect.catchAll(
    Effect.as(open(database, false), schemaVersion),
    (error) => error.cause instanceof OlderSchema ? Effect.succeed(error.cause.found) : Effect.fail(error)
  )

/** Migrates the database, or prints whether it would. */
const migrate = Effect.fn("Migrate.migrate")(
  function*({ database, dryRun, json }: {
    readonly database: DatabaseName
    readonly dryRun: boolean
    readonly json: boolean
  }): Effect.fn.Return<void, Failed | OutputClosed | StorageError, Output> {
    const output = yield* Output
    if (!dryRun) yield* writable(database)
    const from = yield* versionOf(database)
    const isCurrent = from === schemaVersion
    if (!isCurrent && !dryRun) yield* open(database, true)
    if (!output.isTerminal || json) {
      return yield* output.print(JSON.stringify({ ok: true, dryRun, from, to: schemaVersion }))
    }
    const versions = `the schema from version ${from} to ${schemaVersion}`
    yield* output.print(
      isCurrent
        ? output.style.green(`The schema is up to date: version ${schemaVersion}`)
        : dryRun
        ? `Would migrate ${versions}`
        : output.style.green(`Migrated ${versions}`)
    )
  }
)

/** The subcommands of this family. */
export const subcommands: ReadonlyArray<Subcommand.Subcommand> = [
  Subcommand.make({
    name: "migrate",
    help: "Brings the schema of the database up to date, in one transaction. Programs of an older version must be " +
      "stopped first if the changelog says so.",
    options: {
      dryRun: Options.boolean("dry-run").pipe(
        Options.withDescription("Only prints the versions of the schema, and changes nothing.")
      ),
      json,
      database
    },
    execute: migrate
  })
]
