/** The schema of the database, as the steps that led to it. A step that has been released is never changed. */
import { StorageError } from "@caravel/domain"
import * as Migrator from "@effect/sql/Migrator"
import { SqlClient } from "@effect/sql/SqlClient"
import { Effect, Option } from "effect"
import journal from "./migrations/0001_journal.js"
import consumer from "./migrations/0002_consumer.js"
import schemaVersion from "./migrations/0003_schema_version.js"
import idempotency from "./migrations/0004_idempotency.js"

const migrations = {
  "0001_journal": journal,
  "0002_consumer": consumer,
  "0003_schema_version": schemaVersion,
  "0004_idempotency": idempotency
}

const migrate = Migrator.make({})({ loader: Migrator.fromRecord(migrations) })

const known = Math.max(...Object.keys(migrations).map((name) => Number.parseInt(name)))

/**
 * Brings the database to the newest schema. Of several processes that start at once, one does it and the others wait.
 *
 * @since 0.1.0
 * @category constructors
 */
export const run = Effect.gen(function*() {
  const sql = yield* SqlClient
  // A migration that fails is a defect to the migrator; to who opens somebody else's database it is an answer.
  yield* Effect.catchSomeDefect(
    migrate,
    (defect) => defect instanceof Migrator.MigrationError ? Option.some(Effect.fail(defect)) : Option.none()
  )
  const [last] = yield* sql`SELECT max(migration_id) AS id FROM effect_sql_migrations`
  if (Number(last?.["id"]) > known) {
    return yield* new StorageError({
      reason: "newer",
      operation: "migrate",
      cause: new Error(`the database has schema ${last?.["id"]}, this Caravel knows ${known}`)
    })
  }
})
