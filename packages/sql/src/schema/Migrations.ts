/** The schema of the database, as the steps that led to it. A step that has been released is never changed. */
import { StorageError } from "@caravel/domain"
import * as Migrator from "@effect/sql/Migrator"
import { SqlClient } from "@effect/sql/SqlClient"
import { Effect, Option } from "effect"
import journal from "./migrations/0001_journal.js"
import consumer from "./migrations/0002_consumer.js"
import schemaVersion from "./migrations/0003_schema_version.js"
import idempotency from "./migrations/0004_idempotency.js"
import epoch from "./migrations/0005_epoch.js"
import secretKey from "./migrations/0006_secret_key.js"
import imports from "./migrations/0007_import.js"
import inEpoch from "./migrations/0008_in_epoch.js"
import latestAt from "./migrations/0009_latest_at.js"
import { adopt, createMigrations, isCaravel, tables } from "./migrations/adopt.js"

const migrations = {
  "0001_journal": journal,
  "0002_consumer": consumer,
  "0003_schema_version": schemaVersion,
  "0004_idempotency": idempotency,
  "0005_epoch": epoch,
  "0006_secret_key": secretKey,
  "0007_import": imports,
  "0008_in_epoch": inEpoch,
  "0009_latest_at": latestAt
}

const table = "caravel_migrations"

const migrate = Migrator.make({})({ loader: Migrator.fromRecord(migrations), table })

const known = Math.max(...Object.keys(migrations).map((name) => Number.parseInt(name)))

const latest = Effect.flatMap(SqlClient, (sql) =>
  Effect.map(
    sql`SELECT max(migration_id) AS id FROM ${sql(table)}`,
    ([row]) => Number(row?.["id"])
  ))

/**
 * Whether the database has every migration. If so, opening it changes nothing: a role that may not change the schema can open it.
 */
export const isUpToDate = Effect.gen(function*() {
  const sql = yield* SqlClient
  const made = yield* sql.onDialectOrElse({
    pg: () => sql`SELECT 1 WHERE to_regclass(${table}) IS NOT NULL`,
    orElse: () => sql`SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ${table}`
  })
  return made.length > 0 && (yield* latest) >= known
})

// A migration that fails is a defect to the migrator; to who opens somebody else's database it is an answer.
const migrateOrFail = Effect.catchSomeDefect(
  migrate,
  (defect) => defect instanceof Migrator.MigrationError ? Option.some(Effect.fail(defect)) : Option.none()
)

/** Takes the lock, and creates the schema if there is none: of those who do it at once, all but one would fail. */
const lockPostgres = (schema: string | undefined) =>
  Effect.gen(function*() {
    const sql = yield* SqlClient
    const name = schema === undefined ? sql`current_schema()` : sql`${schema}`
    // A migration may take longer than others wait for as a rule; one that hangs is ended.
    yield* sql`SELECT set_config('lock_timeout', '60s', true), set_config('idle_in_transaction_session_timeout', '10s', true)`
    yield* sql`SELECT pg_advisory_xact_lock(hashtext('caravel'), hashtext(${name}))`
    if (schema === undefined) return
    const found = yield* sql`SELECT 1 FROM pg_namespace WHERE nspname = ${schema}`
    if (found.length === 0) yield* sql`CREATE SCHEMA ${sql(schema)}`
  })

/** All in one transaction, by one process at a time: on SQLite as it writes, on PostgreSQL by a lock. */
const migrateAlone = Effect.fnUntraced(function*(schema: string | undefined) {
  const sql = yield* SqlClient
  yield* sql.withTransaction(Effect.gen(function*() {
    yield* sql.onDialectOrElse({ pg: () => lockPostgres(schema), orElse: () => Effect.void })
    if (yield* isUpToDate) return
    yield* adopt
    // On PostgreSQL the migrator would fail once before it makes it, which would be the end of the transaction.
    yield* createMigrations
    yield* migrateOrFail
  }))
})

/** Whether the database is one of Caravel's, of whatever version. */
export const isMade = Effect.map(tables, isCaravel)

/**
 * Brings the database to the newest schema, in this schema of PostgreSQL's if it is named. Of several processes that start at
 * once, one does it and the others wait.
 */
export const run = Effect.fnUntraced(function*(schema?: string) {
  if (!(yield* isUpToDate)) yield* migrateAlone(schema)
  const last = yield* latest
  if (last > known) {
    return yield* new StorageError({
      reason: "newer",
      operation: "migrate",
      cause: new Error(`the database has schema ${last}, this Caravel knows ${known}`)
    })
  }
})
