import type { StorageError } from "@caravel/domain"
import { Effect, type Scope } from "effect"
import type { Database, Purpose } from "../database/Database.js"
import * as Driver from "../database/Driver.js"
import type { Options as PostgresOptions } from "../postgres/PostgresOptions.js"
import type { Options as SqliteOptions } from "../sqlite/SqliteDatabase.js"

/** Opens an SQLite or PostgreSQL database as the source or the target of a copy. */
export const openDatabase = (
  options: SqliteOptions | PostgresOptions,
  purpose: Purpose
): Effect.Effect<typeof Database.Service, StorageError, Scope.Scope> =>
  "filename" in options
    ? Effect.flatMap(
      Driver.loadSqlite(() => import("../sqlite/SqliteDatabase.js")),
      ({ open }) => open(options, purpose)
    )
    : Effect.flatMap(
      Driver.loadPostgres(() => import("../postgres/Parts.js")),
      ({ PostgresDatabase }) => Effect.map(PostgresDatabase.open(options, purpose), ({ database }) => database)
    )
