/**
 * Removes what deleted secrets have left in an SQLite file and its log. Though freed bytes are overwritten
 * (`secure_delete`), where rows moved between the pages of their table SQLite leaves copies: so the pages are given up, which
 * overwrites them as a whole, and the rows that there are written anew.
 */
import { StorageError } from "@caravel/domain"
import { Effect, Schedule } from "effect"
import { toStorageError } from "../database/StorageErrors.js"
import { nextTurn } from "../statement/EventLoop.js"
import * as SqliteConnection from "./SqliteConnection.js"
import { sqlite } from "./SqliteDialect.js"

/**
 * What `PRAGMA user_version` says of a file whose freed bytes have always been overwritten, or that was vacuumed since.
 */
export const overwrites = 1

/** Whoever writes or reads gets so long to come to an end. */
const patience = Schedule.spaced("25 millis").pipe(Schedule.jittered, Schedule.upTo("10 seconds"))

const stillRead = new StorageError({
  reason: "busy",
  operation: "emptying the write-ahead log",
  cause: new Error("an older state is being read, by a verify or a backup, and needs it")
})

const rewriting = [
  // Otherwise what is kept would be in a file outside of the database for a moment.
  "PRAGMA temp_store = MEMORY",
  "BEGIN IMMEDIATE",
  "CREATE TEMP TABLE kept AS SELECT * FROM caravel_secret",
  "DELETE FROM caravel_secret",
  // None in clear may follow one that is encrypted.
  "INSERT INTO caravel_secret SELECT * FROM kept ORDER BY key_id, id",
  "COMMIT"
]

const vacuuming = ["VACUUM", `PRAGMA user_version = ${overwrites}`]

/**
 * The purge of a file, on a connection of its own: one without foreign keys may give up a table's pages at once. Where it
 * fails or is interrupted nothing is lost, and it can be run again.
 */
export const make = (filename: string): Effect.Effect<void, StorageError> =>
  Effect.gen(function*() {
    const connection = yield* Effect.mapError(SqliteConnection.make(filename), toError)
    const execute = (statement: string) => Effect.mapError(connection.executeValues(statement, []), toError)
    for (const setting of ["busy_timeout = 0", "foreign_keys = OFF", "secure_delete = ON"]) {
      yield* execute(`PRAGMA ${setting}`)
    }
    const [[version] = []] = yield* execute("PRAGMA user_version")
    for (const statement of version === overwrites ? rewriting : vacuuming) {
      yield* patiently(execute(statement))
      yield* nextTurn
    }
    yield* patiently(
      Effect.filterOrFail(execute("PRAGMA wal_checkpoint(TRUNCATE)"), ([row]) => row?.[0] === 0, () => stillRead)
    )
  }).pipe(Effect.scoped)

const toError = toStorageError(sqlite, "overwriting what was deleted")

const patiently = <A>(effect: Effect.Effect<A, StorageError>) =>
  Effect.retry(effect, { while: ({ reason }) => reason === "busy", schedule: patience })
