/** The subcommands that copy the database and restore it. */
import * as Args from "@effect/cli/Args"
import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import { database, databaseArgument, fileArgument, json, provideDatabase, schema } from "../cli/Arguments.js"
import * as Backups from "./Backups.js"
import * as Copy from "./Copy.js"
import * as Read from "./Read.js"

const force = Options.boolean("force").pipe(Options.withDescription("Overwrites an existing target."))

/**
 * `caravel backup`.
 *
 * @since 0.1.0
 * @category commands
 */
export const backup = Command.make("backup", {
  file: fileArgument("FILE").pipe(Args.withDescription("Where the copy is written. Required.")),
  force,
  json,
  database
}, Backups.backup).pipe(
  Command.withDescription(
    "Copies the database to an SQLite file, as it is at one instant, even while it is being written, and verifies the copy. It " +
      "holds wallet URLs."
  )
)

/**
 * `caravel restore`.
 *
 * @since 0.1.0
 * @category commands
 */
export const restore = Command.make("restore", {
  file: fileArgument("FILE").pipe(Args.withDescription("The backup. Required.")),
  force,
  json,
  database
}, Backups.restore).pipe(
  Command.withDescription(
    "Verifies a backup and replaces the database's contents with it in one step, in a new epoch. Programs that have " +
      "the database open fail, and its consumers must be reset."
  )
)

const place = (name: string, what: string) =>
  databaseArgument(name).pipe(
    Args.withDescription(`${what} An SQLite file, or postgres://user@host:5432/name. Required.`)
  )

/**
 * `caravel copy`.
 *
 * @since 0.1.0
 * @category commands
 */
export const copy = Command.make("copy", {
  from: place("FROM", "The database to copy. It may be written meanwhile."),
  to: place("TO", "The target: an empty database, or an earlier copy, which is brought up to date."),
  schema,
  json
}, Copy.copy).pipe(
  Command.withDescription(
    "Copies a database to an SQLite or PostgreSQL database, with positions, consumers and secrets as they are " +
      "stored, and verifies the copy. Run an interrupted copy again to continue it; the target can be used once the " +
      "copy is complete. A password in a URL is visible in the process list; PGPASSWORD is not."
  )
)

/**
 * `caravel epochs`.
 *
 * @since 0.1.0
 * @category commands
 */
export const epochs = Command.make("epochs", { json, database }, Read.epochs).pipe(
  Command.withDescription("Shows the epochs of this database, oldest first. Each restore begins a new one."),
  provideDatabase
)
