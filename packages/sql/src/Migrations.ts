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

const migrations = {
  "0001_journal": journal,
  "0002_consumer": consumer,
  "0003_schema_version": schemaVersion,
  "0004_idempotency": idempotency,
  "0005_epoch": epoch,
  "0006_secret_key": secretKey,
  "0007_import": imports,
  "0008_in_epoch": inEpoch
}

const migrate = Migrator.make({})({ loader: Migrator.fromRecord(migrations) })

const known = Math.max(...Object.keys(migrations).map((name) => Number.parseInt(name)))

const latest = Effect.flatMap(SqlClient, (sql) =>
  Effect.map(
    sql`SELECT max(migration_id) AS id FROM effect_sql_migrations`,
    ([row]) => Number(row?.["id"])
  ))

// A migration that fails is a defect to the migrator; to who opens somebody else's database it is an answer.
const migrateOrFail = Effect.catchSomeDefect(
  migrate,
  (defect) => defect instanceof Migrator.MigrationError ? Option.some(Effect.fail(defect)) : Option.none()
)

/**
 * All in one transaction, by one process at a time. Where nothing is to be done, nothing is: a role that may not change the
 * schema can open the database.
 */
const migratePostgres = Effect.gen(function*() {
  const sql = yield* SqlClient
  const [made] = yield* sql`SELECT to_regclass('effect_sql_migrations') IS NOT NULL AS made`
  if (made?.["made"] === true && (yield* latest) >= known) return
  yield* sql.withTransaction(Effect.gen(function*() {
    yield* sql`SELECT pg_advisory_xact_lock(hashtext('caravel'), hashtext(current_schema()))`
    // As the migrator would, but that it would fail first.
    yield* sql`CREATE TABLE IF NOT EXISTS effect_sql_migrations (
      migration_id integer PRIMARY KEY,
      created_at timestamp with time zone NOT NULL DEFAULT now(),
      name text NOT NULL
    )`
    yield* migrateOrFail
  }))
})

const tables = ["event", "tenant", "relay", "effect_sql_migrations"]

/**
 * Whether the database is one of Caravel's, of whatever version.
 *
 * @since 0.1.0
 * @category constructors
 */
export const isMade = Effect.gen(function*() {
  const sql = yield* SqlClient
  const found = yield* sql.onDialectOrElse({
    pg: () => sql`SELECT 1 FROM unnest(${tables}::text[]) AS name WHERE to_regclass(name) IS NOT NULL`,
    orElse: () => sql`SELECT 1 FROM sqlite_schema WHERE type = 'table' AND ${sql.in("name", tables)}`
  })
  return found.length === tables.length
})

/**
 * Brings the database to the newest schema. Of several processes that start at once, one does it and the others wait.
 *
 * @since 0.1.0
 * @category constructors
 */
export const run = Effect.gen(function*() {
  const sql = yield* SqlClient
  yield* sql.onDialectOrElse({ pg: () => migratePostgres, orElse: () => Effect.asVoid(migrateOrFail) })
  const last = yield* latest
  if (last > known) {
    return yield* new StorageError({
      reason: "newer",
      operation: "migrate",
      cause: new Error(`the database has schema ${last}, this Caravel knows ${known}`)
    })
  }
})
