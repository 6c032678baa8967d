/** `caravel init`: creating the database. */
import type { StorageError } from "@caravel/domain"
import { Effect, Layer } from "effect"
import { database, json, layerOf, writable } from "../cli/Arguments.js"
import * as DatabaseName from "../cli/DatabaseName.js"
import { type Failed, Output, type OutputClosed } from "../terminal/Output.js"
import * as Subcommand from "./Subcommand.js"

/** Opens the database, and leaves one that exists as it is. Returns whether it was created. */
const open = (database: DatabaseName.DatabaseName, create: boolean) =>
  Effect.scoped(Effect.as(Layer.build(layerOf(database, { create, migrate: create })), create))

/** Creates the database if there is none, and prints whether it existed. */
const init = Effect.fn("Init.init")(
  function*({ database, json }: {
    readonly database: DatabaseName.DatabaseName
    readonly json: boolean
  }): Effect.fn.Return<void, Failed | OutputClosed | StorageError, Output> {
    const output = yield* Output
    yield* writable(database)
    const created = yield* open(database, false).pipe(
      Effect.catchIf(({ reason }) => reason === "missing", () => open(database, true)),
      // It is there, and caravel migrate is another decision.
      Effect.catchIf(({ reason }) => reason === "older", () => Effect.succeed(false))
    )
    const name = DatabaseName.shown(database)
    yield* output.print(
      output.isTerminal && !json
        ? output.style.green(created ? `Created ${name}` : `There is a database already: ${name}`)
        : JSON.stringify({ ok: true, created })
    )
  }
)

/** The subcommands of this family. */
export const subcommands: ReadonlyArray<Subcommand.Subcommand> = [
  Subcommand.make({
    name: "init",
    help: "Creates the database. An existing one is left as it is.",
    options: { json, database },
    execute: init
  })
]
