/** The migrations of the database schema. A released migration is never changed. */
import { StorageError } from "@caravel/domain"
import * as Migrator from "@effect/sql/Migrator"
import { SqlClient } from "@effect/sql/SqlClient"
import { Data, Effect, Option } from "effect"
import journal from "./migrations/0001_journal.js"
import consumer from "./migrations/0002_consumer.js"
import eventVersion from "./migrations/0003_schema_version.js"
import idempotency from "./migrations/0004_idempotency.js"
import epoch from "./migrations/0005_epoch.js"
import secretKey from "./migrations/0006_secret_key.js"
import imports from "./migrations/0007_import.js"
import inEpoch from "./migrations/0008_in_epoch.js"
import latestAt from "./migrations/0009_latest_at.js"
import tuning from "./migrations/0010_tuning.js"
import { adopt, createMigrations, isCaravel, tables, unprefixedVersion } from "./migrations/adopt.js"

const migrations = {
  "0001_journal": journal,
  "0002_consumer": consumer,
  "0003_schema_version": eventVersion,
  "0004_idempotency": idempotency,
  "0005_epoch": epoch,
  "0006_secret_key": secretKey,
  "0007_import": imports,
  "0008_in_epoch": inEpoch,
  "0009_latest_at": latestAt,
  "0010_tuning": tuning
}

/**
 * The numbers of the schemas, oldest first.
 *
 * @since 0.1.0
 * @category constants
 */
export const versions: ReadonlyArray<string> = Object.keys(migrations).map((name) => name.slice(0, 4))

const table = "caravel_migrations"

const migrate = Migrator.make({})({ loader: Migrator.fromRecord(migrations), table })

/**
 * The schema version of this Caravel.
 *
 * @since 0.1.0
 * @category constants
 */
export const schemaVersion: number = Math.max(...versions.map(Number))

/**
 * The database has the schema of an older Caravel, and may not be migrated.
 *
 * @since 0.1.0
 * @category errors
 */
export class OlderSchema extends Data.TaggedError("OlderSchema")<{
  /** The version of the database's schema. */
  readonly found: number
}> {
  override get message() {
    return `the database has schema ${this.found}, and this Caravel has ${schemaVersion}`
  }
}

const latest = Effect.flatMap(SqlClient, (sql) =>
  Effect.map(
    sql`SELECT max(migration_id) AS id FROM ${sql(table)}`,
    ([row]) => Number(row?.["id"])
  ))

/** The last migration of the database; 0 if it has none. */
const recorded = Effect.gen(function*() {
  const sql = yield* SqlClient
  const made = yield* sql.onDialectOrElse({
    pg: () => sql`SELECT 1 WHERE to_regclass(${table}) IS NOT NULL`,
    orElse: () => sql`SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ${table}`
  })
  return yield* made.length > 0 ? latest : unprefixedVersion
})

/**
 * Whether the database has every migration. Opening it then changes nothing, so a role that may not change the schema
 * can open it.
 */
const isUpToDate = Effect.map(recorded, (found) => found >= schemaVersion)

/**
 * Fails unless the database has every migration. Changes nothing.
 *
 * @since 0.1.0
 * @category migrations
 */
export const mustBeUpToDate = (operation: string) =>
  Effect.flatMap(recorded, (found) =>
    found >= schemaVersion
      ? Effect.void
      : new StorageError({ reason: "older", operation, cause: new OlderSchema({ found }) }))

// The migrator dies if a migration fails. It is a failure here, because the database may be another program's.
const migrateOrFail = Effect.catchSomeDefect(
  migrate,
  (defect) => defect instanceof Migrator.MigrationError ? Option.some(Effect.fail(defect)) : Option.none()
)

/**
 * Takes the lock, and creates the schema if there is none. Without the lock, only one of several processes that create
 * it at once would succeed.
 */
const lockPostgres = (schema: string | undefined) =>
  Effect.gen(function*() {
    const sql = yield* SqlClient
    const name = schema === undefined ? sql`current_schema()` : sql`${schema}`
    // A migration may take longer than the usual timeouts. The server ends the transaction of a process that hangs.
    yield* sql`SELECT set_config('lock_timeout', '60s', true), set_config('statement_timeout', '0', true),
      set_config('idle_in_transaction_session_timeout', '10s', true)`
    yield* sql`SELECT pg_advisory_xact_lock(hashtext('caravel'), hashtext(${name}))`
    if (schema === undefined) return
    const found = yield* sql`SELECT 1 FROM pg_namespace WHERE nspname = ${schema}`
    if (found.length === 0) yield* sql`CREATE SCHEMA ${sql(schema)}`
  })

/** Migrates in one transaction, one process at a time: SQLite has one writer, and on PostgreSQL a lock is taken. */
const migrateAlone = Effect.fnUntraced(function*(schema: string | undefined) {
  const sql = yield* SqlClient
  yield* sql.withTransaction(Effect.gen(function*() {
    yield* sql.onDialectOrElse({ pg: () => lockPostgres(schema), orElse: () => Effect.void })
    if (yield* isUpToDate) return
    yield* adopt
    // The migrator creates this table only after a failed query, which would abort the transaction on PostgreSQL.
    yield* createMigrations
    yield* migrateOrFail
  }))
})

/**
 * Whether the database has Caravel's tables, of any version.
 *
 * @since 0.1.0
 * @category migrations
 */
export const isMade = Effect.map(tables, isCaravel)

/**
 * Migrates the database to the newest version, in the given PostgreSQL schema if there is one. If several processes
 * start at once, one migrates and the others wait. Fails if a newer Caravel has migrated the database.
 *
 * @since 0.1.0
 * @category migrations
 */
export const run = Effect.fnUntraced(function*(schema?: string) {
  if (!(yield* isUpToDate)) yield* migrateAlone(schema)
  const last = yield* latest
  if (last > schemaVersion) {
    return yield* new StorageError({
      reason: "newer",
      operation: "migrate",
      cause: new Error(`the database has schema ${last}, but this Caravel knows only ${schemaVersion}`)
    })
  }
})
