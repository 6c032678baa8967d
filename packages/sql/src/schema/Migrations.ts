/** The migrations of the database schema. A released migration is never changed. */
import { StorageError } from "@caravel/domain"
import * as Migrator from "@effect/sql/Migrator"
import { SqlClient } from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import { Data, Effect, Option, Predicate } from "effect"
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
import { adopt, createMigrations, type Home, home, isCaravel } from "./migrations/adopt.js"

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

/** Finds Caravel's tables. Another process may have renamed them between the statements, so it is tried twice. */
const lookUp = (schema: string | undefined) => Effect.retry(home(schema), { times: 1, while: isMissingTable })

const isMissingTable = ({ cause }: SqlError) =>
  Predicate.hasProperty(cause, "code") && cause.code === "42P01" || /no such table/.test(String(cause))

/** The last migration of the database; 0 if it has none. */
const recorded = (found: Home | undefined) =>
  found === undefined
    ? Effect.succeed(0)
    : found.unprefixed === undefined
    ? latest
    : Effect.succeed(found.unprefixed.own.length)

/**
 * Whether the database has every migration. Opening it then changes nothing, so a role that may not change the schema
 * can open it.
 */
const isUpToDate = (found: Home | undefined) => Effect.map(recorded(found), (found) => found >= schemaVersion)

/**
 * Fails unless the database, or the given PostgreSQL schema, has every migration. Changes nothing.
 *
 * @since 0.1.0
 * @category migrations
 */
export const mustBeUpToDate = (operation: string, schema?: string) =>
  Effect.flatMap(Effect.flatMap(lookUp(schema), recorded), (found) =>
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
 * it at once would succeed. From then on, statements of the transaction find and create tables only in the schema that
 * has Caravel's, which is not always the first of the search path: one before it may have been created later.
 */
const lockPostgres = (schema: string | undefined, found: Home | undefined) =>
  Effect.gen(function*() {
    const sql = yield* SqlClient
    const [first] = yield* sql`SELECT current_schema() AS name`
    const name = found?.schema ?? schema ?? first?.["name"] as string | null
    // A migration may take longer than the usual timeouts. The server ends the transaction of a process that hangs.
    yield* sql`SELECT set_config('lock_timeout', '60s', true), set_config('statement_timeout', '0', true),
      set_config('idle_in_transaction_session_timeout', '10s', true)`
    yield* sql`SELECT pg_advisory_xact_lock(hashtext('caravel'), hashtext(${name}))`
    // Without a schema, creating a table fails.
    if (name === null || found !== undefined && found.schema === undefined) return
    const existing = yield* sql`SELECT 1 FROM pg_namespace WHERE nspname = ${name}`
    if (existing.length === 0) yield* sql`CREATE SCHEMA ${sql(name)}`
    yield* sql`SELECT set_config('search_path', quote_ident(${name}), true)`
  })

/** Migrates in one transaction, one process at a time: SQLite has one writer, and on PostgreSQL a lock is taken. */
const migrateAlone = Effect.fnUntraced(function*(schema: string | undefined, before: Home | undefined) {
  const sql = yield* SqlClient
  yield* sql.withTransaction(Effect.gen(function*() {
    yield* sql.onDialectOrElse({ pg: () => lockPostgres(schema, before), orElse: () => Effect.void })
    const found = yield* home(schema)
    if (yield* isUpToDate(found)) return
    if (found !== undefined) yield* adopt(found)
    // The migrator creates this table only after a failed query, which would abort the transaction on PostgreSQL.
    yield* createMigrations
    yield* migrateOrFail
  }))
})

/**
 * Whether the given PostgreSQL schema has Caravel's tables, of any version; without one, a schema of the search path.
 *
 * @since 0.1.0
 * @category migrations
 */
export const isMadeIn = (schema: string | undefined) =>
  Effect.map(lookUp(schema), (found) => found !== undefined && isCaravel(found.tables))

/**
 * Whether the database has Caravel's tables, of any version.
 *
 * @since 0.1.0
 * @category migrations
 */
export const isMade = isMadeIn(undefined)

/**
 * Migrates the database to the newest version. On PostgreSQL, new tables are created in the given schema, by default in
 * the first of the search path; tables that exist stay in their schema of the search path. If several processes start at
 * once, one migrates and the others wait. Fails if a newer Caravel has migrated the database.
 *
 * @since 0.1.0
 * @category migrations
 */
export const run = Effect.fnUntraced(function*(schema?: string) {
  // The transaction must not look this up: it would lock tables that another one, for which it waits, is migrating.
  const found = yield* lookUp(schema)
  if (!(yield* isUpToDate(found))) yield* migrateAlone(schema, found)
  const last = yield* latest
  if (last > schemaVersion) {
    return yield* new StorageError({
      reason: "newer",
      operation: "migrate",
      cause: new Error(`the database has schema ${last}, but this Caravel knows only ${schemaVersion}`)
    })
  }
})
