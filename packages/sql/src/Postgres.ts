/** Caravel on PostgreSQL. It needs the packages `@effect/sql-pg` and `pg`. */
import type { StorageError } from "@caravel/domain"
import { Config, type ConfigError, Context, Effect, Layer } from "effect"
import * as Database from "./database/Database.js"
import * as Driver from "./database/Driver.js"
import type { Options } from "./postgres/PostgresOptions.js"
import { layer as servicesOver, type Services } from "./Services.js"

export type {
  /**
   * The database, and how to connect to it.
   *
   * @since 0.1.0
   * @category models
   */
  Options
} from "./postgres/PostgresOptions.js"

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
 * import { Postgres } from "@caravel/sql"
 * import { Effect, Redacted } from "effect"
 *
 * const program = Effect.gen(function*() {
 *   const command = yield* Command
 *   yield* command.createTenant({ pubkey: "ab".repeat(32) })
 * })
 *
 * export const run = Effect.provide(
 *   program,
 *   Postgres.layer({ url: Redacted.make("postgres://caravel@127.0.0.1:5432/caravel") })
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options): Layer.Layer<Services, StorageError> =>
  Layer.unwrapScoped(Effect.gen(function*() {
    const { PostgresDatabase, PostgresWatch } = yield* Driver.loadPostgres(() => import("./postgres/Parts.js"))
    const opened = yield* PostgresDatabase.open(options)
    return servicesOver(
      Layer.succeedContext(Context.make(Database.Database, opened.database)),
      PostgresWatch.layer(opened, options)
    )
  }))

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
