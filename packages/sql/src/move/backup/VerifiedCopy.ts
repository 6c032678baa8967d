import { Journal, StorageError, type Verification } from "@caravel/domain"
import type { Reactivity } from "@effect/experimental/Reactivity"
import { MigrationError } from "@effect/sql/Migrator"
import { SqlClient } from "@effect/sql/SqlClient"
import type { Connection } from "@effect/sql/SqlConnection"
import { SqlError } from "@effect/sql/SqlError"
import Sqlite from "better-sqlite3"
import { Context, Effect, Layer, type Scope } from "effect"
import { existsSync } from "node:fs"
import * as Database from "../../database/Database.js"
import * as Opening from "../../database/Opening.js"
import { toStorageError } from "../../database/StorageErrors.js"
import * as SqlJournal from "../../read/SqlJournal.js"
import * as Migrations from "../../schema/Migrations.js"
import { decodeTables, isCaravel, selectTables } from "../../schema/migrations/adopt.js"
import * as SecretCodec from "../../schema/SecretCodec.js"
import { check } from "../../sqlite/IntegrityCheck.js"
import * as SqliteConnection from "../../sqlite/SqliteConnection.js"
import { sqlite } from "../../sqlite/SqliteDialect.js"
import * as SqliteTransaction from "../../sqlite/SqliteTransaction.js"
import { unsound } from "../copy/CopyChecks.js"
import type * as CopySource from "../copy/CopySource.js"
import * as CopyTarget from "../copy/CopyTarget.js"
import { mustBeSound } from "../MustBeSound.js"
import { copyPages } from "./CopyPages.js"
import type { OnStep } from "./OnStep.js"

const corrupt = (operation: string, why: string) =>
  new StorageError({ reason: "corrupt", operation, cause: new Error(why) })

const mustBeWhole = (operation: string, filename: string, name: string) =>
  Effect.flatMap(
    check(filename, 1),
    ([damaged]) => damaged === undefined ? Effect.void : corrupt(operation, `${name} is damaged: ${damaged}`)
  )

/** Opens a read-only connection, which the scope closes. */
export const connect = (filename: string): Effect.Effect<Sqlite.Database, SqlError, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.try({
      try: () => new Sqlite(filename, { readonly: true, fileMustExist: true }),
      catch: (cause) => new SqlError({ cause })
    }),
    (database) => Effect.sync(() => database.close())
  )

/** Returns the size of a database in bytes, as SQLite reads it: under the name that the driver makes of `filename`. */
export const sizeOf = (filename: string): Effect.Effect<number, SqlError> =>
  Effect.scoped(Effect.flatMap(connect(filename), (database) =>
    Effect.try({
      try: () =>
        Number(database.pragma("page_count", { simple: true })) *
        Number(database.pragma("page_size", { simple: true })),
      catch: (cause) => new SqlError({ cause })
    })))

/** Writes what the write-ahead log of a file holds into the file. Does nothing if the file or its log is damaged. */
export const applyLog = (filename: string): Effect.Effect<void> =>
  Effect.ignore(Effect.try(() => {
    if (!existsSync(`${filename}-wal`)) return
    const database = new Sqlite(filename, { fileMustExist: true, timeout: 0 })
    try {
      database.pragma("wal_checkpoint(TRUNCATE)")
    } finally {
      database.close()
    }
  }))

/**
 * Opens a read transaction, so that the copy sees one state: otherwise SQLite would restart the copy after a commit.
 */
const snapshot = (filename: string, operation: string) =>
  Effect.gen(function*() {
    const database = yield* connect(filename)
    const isOurs = yield* Effect.try({
      try: () => {
        database.exec("BEGIN")
        return isCaravel(decodeTables(database.prepare(selectTables).all()))
      },
      catch: (cause) => new SqlError({ cause })
    })
    return isOurs ? database : yield* corrupt(operation, `${filename} is not a Caravel database`)
  })

/** A verified copy that is still open. */
export interface VerifiedCopy {
  readonly connection: Connection
  readonly database: typeof Database.Database.Service
  readonly journal: typeof Journal.Service
  readonly verification: Verification
}

/**
 * Opens a file that no other process has open, on one connection, and migrates it to the newest schema. Without a
 * write-ahead log the database is a single file, and may be on any file system.
 */
const openAlone = (filename: string) =>
  Effect.gen(function*() {
    const connection = yield* SqliteConnection.make(filename)
    for (const setting of ["journal_mode = DELETE", "foreign_keys = ON", "recursive_triggers = ON"]) {
      yield* connection.execute(`PRAGMA ${setting}`, [], undefined)
    }
    const client = yield* SqliteTransaction.make(connection)
    yield* Effect.provideService(Migrations.run(), SqlClient, client.sql)
    const database = Database.make({
      client,
      reader: connection,
      snapshot: Effect.succeed(connection),
      dialect: sqlite,
      // The verification checks that wallet URLs exist. Decrypting them would need the keys.
      secrets: SecretCodec.clear,
      purge: Effect.void
    })
    const journal = Layer.provide(SqlJournal.layer, Layer.succeed(Database.Database, database))
    return { connection, database, journal: Context.get(yield* Layer.build(journal), Journal) }
  })

/** Runs an operation on databases that it opens itself, outside the caller's transaction. */
const apart = (operation: string) => <A, E>(effect: Effect.Effect<A, E, Reactivity>) =>
  effect.pipe(
    Effect.catchIf(
      (error): error is Extract<E, SqlError | MigrationError> =>
        error instanceof SqlError || error instanceof MigrationError,
      (error) => Effect.fail(toStorageError(sqlite, operation)(error))
    ),
    Opening.apart
  )

/** Copies a PostgreSQL database to a new SQLite file, and returns the verification of the copy. */
export const convertedCopy = (
  operation: string,
  options: { readonly source: CopySource.Source; readonly to: string; readonly onStep?: OnStep | undefined }
): Effect.Effect<Verification, StorageError> =>
  Effect.gen(function*() {
    const { onStep = () => {}, source, to } = options
    const verification = yield* Effect.scoped(Effect.gen(function*() {
      const { database } = yield* openAlone(to)
      const target = CopyTarget.make(database, operation)
      const { verified } = yield* Effect.catchTag(target.complete(source, onStep), "NotACopy", Effect.die)
      return verified
    }))
    onStep("checking", 0, 0)
    yield* mustBeWhole(operation, to, "the copy")
    return verification
  }).pipe(apart(operation))

/**
 * Copies an SQLite database to a file, and fails if the copy is damaged or its rows differ from its journal. `then` may
 * still write to the copy before it is closed.
 */
export const verifiedCopy = <A, E = never>(
  operation: string,
  options: { readonly from: string; readonly to: string; readonly onStep?: OnStep | undefined },
  then: (copy: VerifiedCopy) => Effect.Effect<A, E | SqlError | StorageError>
): Effect.Effect<A, E | StorageError> =>
  Effect.gen(function*() {
    const { from, onStep = () => {}, to } = options
    yield* Effect.scoped(Effect.flatMap(
      snapshot(from, operation),
      (database) => copyPages(database, to, (done, total) => onStep("copying", done, total))
    ))

    onStep("checking", 0, 0)
    yield* mustBeWhole(operation, to, `the copy of ${from}`)

    return yield* Effect.scoped(Effect.gen(function*() {
      const { connection, database, journal } = yield* openAlone(to)
      const verification = yield* mustBeSound(
        journal.verify,
        (...far) => onStep("verifying", ...far),
        ({ resourceId, resourceType }) =>
          unsound(operation, `in ${from}, rows differ from the journal, first at ${resourceType} ${resourceId}`)
      )
      return yield* then({ connection, database, journal, verification })
    }))
  }).pipe(apart(operation))
