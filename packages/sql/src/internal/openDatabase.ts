import type { StorageError } from "@caravel/domain"
import { Effect, type Scope } from "effect"
import type { Database, Purpose } from "../Database.js"
import type { Options as PostgresOptions } from "../PostgresDatabase.js"
import type { Options as SqliteOptions } from "../SqliteDatabase.js"
import * as Driver from "./driver.js"

/** Opens a database of whichever kind, to copy it or to copy to it. */
export const openDatabase = (
  options: SqliteOptions | PostgresOptions,
  purpose: Purpose
): Effect.Effect<typeof Database.Service, StorageError, Scope.Scope> =>
  "filename" in options
    ? Effect.flatMap(
      Driver.loadSqlite(() => import("../SqliteDatabase.js")),
      ({ open }) => open(options, purpose)
    )
    : Effect.flatMap(
      Driver.loadPostgres(() => import("./postgres.js")),
      ({ PostgresDatabase }) => Effect.map(PostgresDatabase.open(options, purpose), ({ database }) => database)
    )
