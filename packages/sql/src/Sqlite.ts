/** Caravel on an SQLite file. It needs the packages `@effect/sql-sqlite-node` and `better-sqlite3`. */
import type { StorageError } from "@caravel/domain"
import { Config, type ConfigError, Effect, Layer } from "effect"
import * as fs from "node:fs/promises"
import * as os from "node:os"
import * as path from "node:path"
import * as Database from "./database/Database.js"
import * as Driver from "./database/Driver.js"
import { layer as servicesOver, type Services } from "./Services.js"
import type { Options } from "./sqlite/SqliteDatabase.js"
import * as SqliteWatch from "./sqlite/SqliteWatch.js"

export type {
  /**
   * The database file, and how durable its commits are.
   *
   * @since 0.1.0
   * @category models
   */
  Options
} from "./sqlite/SqliteDatabase.js"

export type {
  /**
   * Every service of Caravel, and the `SqlClient` for the caller's own statements and transactions.
   *
   * @since 0.1.0
   * @category models
   */
  Services
} from "./Services.js"

/**
 * Opens the database and migrates it to the newest schema. Fails with a `StorageError` if it cannot be opened.
 *
 * @example
 * ```ts
 * import { Command } from "@caravel/domain"
 * import { Sqlite } from "@caravel/sql"
 * import { SqlClient } from "@effect/sql"
 * import { Effect } from "effect"
 *
 * // In production: Sqlite.layer({ filename: "./data/caravel.db" })
 * const program = Effect.gen(function*() {
 *   const command = yield* Command
 *   const sql = yield* SqlClient.SqlClient
 *   const pubkey = "ab".repeat(32)
 *   yield* sql.withTransaction(Effect.gen(function*() {
 *     yield* command.createTenant({ pubkey })
 *     yield* command.createRelay({ id: "main", tenant: pubkey, subdomain: "main" })
 *   }))
 * })
 *
 * await Effect.runPromise(Effect.provide(program, Sqlite.layerTemporary))
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options): Layer.Layer<Services, StorageError> =>
  servicesOver(
    Layer.scoped(
      Database.Database,
      Driver.loadSqlite(() => import("./sqlite/SqliteDatabase.js"))
        .pipe(
          Effect.flatMap(({ open }) => open(options))
        )
    ),
    SqliteWatch.layer(options.filename)
  )

/**
 * `layer` with options from the configuration.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig = (
  options: Config.Config.Wrap<Options>
): Layer.Layer<Services, StorageError | ConfigError.ConfigError> =>
  Layer.unwrapEffect(Effect.map(Config.unwrap(options), layer))

/**
 * A database for tests, in a temporary directory that is removed when the layer is released.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerTemporary: Layer.Layer<Services, StorageError> = Layer.unwrapScoped(
  Effect.map(
    Effect.acquireRelease(
      Effect.promise(() => fs.mkdtemp(path.join(os.tmpdir(), "caravel-"))),
      (directory) => Effect.promise(() => fs.rm(directory, { recursive: true }))
    ),
    (directory) => layer({ filename: path.join(directory, "caravel.db") })
  )
)
