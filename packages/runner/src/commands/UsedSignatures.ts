/** Signatures that have been used, in a table of the database: every host on it refuses them. */
import type { StorageError } from "@caravel/domain"
import { SingleUse } from "@caravel/http"
import { type Sqlite, storageErrors } from "@caravel/sql"
import { SqlClient } from "@effect/sql/SqlClient"
import { Clock, Effect, Layer } from "effect"

/** How many expired signatures are deleted with each new one: a backlog shrinks at little cost at a time. */
const forgottenPerUse = 4

/**
 * Creates the table if there is none. It belongs to hosts: its rows are of use for ten minutes, so they are neither
 * copied nor verified.
 */
const create = Effect.gen(function*() {
  const sql = yield* SqlClient
  const isThere = yield* sql.onDialectOrElse({
    pg: () => sql`SELECT 1 WHERE to_regclass('caravel_used_signature') IS NOT NULL`,
    orElse: () => sql`SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'caravel_used_signature'`
  })
  // The application's role on PostgreSQL may not create tables, nor need it once the table is there.
  if (isThere.length > 0) return
  yield* sql`CREATE TABLE IF NOT EXISTS caravel_used_signature (id TEXT PRIMARY KEY, forget_at BIGINT NOT NULL)`
  yield* sql`CREATE INDEX IF NOT EXISTS caravel_used_signature_forget_at ON caravel_used_signature (forget_at)`
})

/** In the database. Fails if the table is missing and cannot be created. */
export const layer: Layer.Layer<SingleUse.SingleUse, StorageError, Sqlite.Services> = Layer.effect(
  SingleUse.SingleUse,
  Effect.gen(function*() {
    const sql = yield* SqlClient
    const toStorageError = yield* storageErrors
    yield* Effect.mapError(create, toStorageError("creating caravel_used_signature"))
    return {
      use: (id, expiresAt) =>
        Effect.gen(function*() {
          const now = yield* Clock.currentTimeMillis
          yield* sql`DELETE FROM caravel_used_signature WHERE id IN (
            SELECT id FROM caravel_used_signature WHERE forget_at < ${now} ORDER BY forget_at LIMIT ${forgottenPerUse}
          )`
          // One statement, so that of several hosts only one is first.
          const first = yield* sql`INSERT INTO caravel_used_signature ${sql.insert({ id, forget_at: expiresAt })}
            ON CONFLICT (id) DO NOTHING RETURNING id`
          return first.length === 1
        }).pipe(Effect.mapError(toStorageError("remembering a signature")))
    }
  })
)
