/**
 * Removes what deleted secrets have left in an SQLite file and its log. `secure_delete` overwrites freed bytes, but
 * SQLite leaves copies of rows that it has moved between the pages of their table. A purge therefore frees all pages of
 * the table, which overwrites them, and writes the remaining rows to new pages.
 */
import { StorageError } from "@caravel/domain"
import { nextTurn } from "@caravel/domain/adapter"
import { Effect, Schedule } from "effect"
import { toStorageError } from "../database/StorageErrors.js"
import { attempt, realPath, sync } from "./DatabaseFile.js"
import * as SqliteConnection from "./SqliteConnection.js"
import { sqlite } from "./SqliteDialect.js"

/**
 * Records that the freed bytes of Caravel's pages have always been overwritten, or that the file was vacuumed since.
 * The record is a row before the first migration. `PRAGMA user_version` is left to the application, which may share the
 * file.
 */
export const recordOverwritten =
  "INSERT OR IGNORE INTO caravel_migrations (migration_id, name) VALUES (0, 'freed_bytes_overwritten')"

const isOverwritten = "SELECT 1 FROM caravel_migrations WHERE migration_id = 0"

/** How long a purge waits for other transactions to end. */
const whileRead = Schedule.spaced("25 millis").pipe(Schedule.jittered, Schedule.upTo("10 seconds"))

const stillRead = new StorageError({
  reason: "busy",
  operation: "emptying the write-ahead log",
  cause: new Error("an older state is being read, by a verify or a backup, and needs it")
})

const rewriting = [
  // Otherwise the remaining secrets would be in a temporary file for a moment.
  "PRAGMA temp_store = MEMORY",
  "BEGIN IMMEDIATE",
  "CREATE TEMP TABLE kept AS SELECT * FROM caravel_secret",
  "DELETE FROM caravel_secret",
  // A trigger rejects secrets in clear once one is encrypted.
  "INSERT INTO caravel_secret SELECT * FROM kept ORDER BY key_id, id",
  "COMMIT"
]

const vacuuming = ["VACUUM", recordOverwritten]

/**
 * Purges a file, on a connection of its own without foreign keys, so that all pages of the table are freed at once. If
 * it fails or is interrupted, nothing is lost and it can be run again.
 */
export const make = (filename: string): Effect.Effect<void, StorageError> =>
  Effect.gen(function*() {
    const connection = yield* Effect.mapError(SqliteConnection.make(filename), toError)
    const execute = (statement: string) => Effect.mapError(connection.executeValues(statement, []), toError)
    for (const setting of ["busy_timeout = 0", "foreign_keys = OFF", "secure_delete = ON"]) {
      yield* execute(`PRAGMA ${setting}`)
    }
    const overwritten = yield* execute(isOverwritten)
    for (const statement of overwritten.length > 0 ? rewriting : vacuuming) {
      yield* retryWhileBusy(execute(statement))
      yield* nextTurn
    }
    yield* retryWhileBusy(
      Effect.filterOrFail(execute("PRAGMA wal_checkpoint(TRUNCATE)"), ([row]) => row?.[0] === 0, () => stillRead)
    )
    // SQLite has synced the database file, but not the log that it has truncated.
    const log = `${yield* realPath(filename)}-wal`
    yield* attempt(operation, () => sync(log, "r+"))
  }).pipe(Effect.scoped)

const operation = "overwriting what was deleted"

const toError = toStorageError(sqlite, operation)

const retryWhileBusy = <A>(effect: Effect.Effect<A, StorageError>) =>
  Effect.retry(effect, { while: ({ reason }) => reason === "busy", schedule: whileRead })
