import { StorageError } from "@caravel/domain"
import { Effect } from "effect"

/**
 * Loads a module that needs a database driver. You need to install only the driver of the database that you use.
 */
const load = <M>(database: string, packages: string, module: () => Promise<M>): Effect.Effect<M, StorageError> =>
  Effect.tryPromise({
    try: module,
    catch: (cause) =>
      new StorageError({
        reason: "other",
        operation: `opening ${database}`,
        cause: new Error(`its driver cannot be loaded; install ${packages}`, { cause })
      })
  })

/** Loads a module that needs PostgreSQL's driver. */
export const loadPostgres = <M>(module: () => Promise<M>): Effect.Effect<M, StorageError> =>
  load("PostgreSQL", "@effect/sql-pg and pg", module)

/** Loads a module that needs SQLite's driver. */
export const loadSqlite = <M>(module: () => Promise<M>): Effect.Effect<M, StorageError> =>
  load("an SQLite file", "@effect/sql-sqlite-node and better-sqlite3", module)
