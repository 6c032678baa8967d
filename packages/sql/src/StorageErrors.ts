/** The errors of your own statements, as Caravel reports those of its own. */
import type { StorageError } from "@caravel/domain"
import type { SqlError } from "@effect/sql/SqlError"
import { Effect } from "effect"
import { Database } from "./database/Database.js"
import { toStorageError } from "./database/StorageErrors.js"

/**
 * Converts errors of your own statements on the database's `SqlClient` to a `StorageError` with the reason and the
 * advice for the driver's error. `operation` says what failed.
 *
 * @since 0.1.0
 * @category errors
 */
export const storageErrors: Effect.Effect<(operation: string) => (error: SqlError) => StorageError, never, Database> =
  Effect.map(Database, ({ dialect }) => (operation) => toStorageError(dialect, operation))
