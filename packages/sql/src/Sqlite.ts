/** Caravel on an SQLite file. */
import {
  type ActivityFeed,
  type ActivityPubSub,
  type Command,
  defaultIdempotencyKeysKept,
  History,
  type Journal,
  type Query,
  StorageError
} from "@caravel/domain"
import { type CheckpointStore, Consumer, InProcess } from "@caravel/pubsub"
import * as Reactivity from "@effect/experimental/Reactivity"
import * as SqliteClient from "@effect/sql-sqlite-node/SqliteClient"
import { SqlClient, TransactionConnection } from "@effect/sql/SqlClient"
import type { Connection } from "@effect/sql/SqlConnection"
import { SqlError } from "@effect/sql/SqlError"
import { makeCompilerSqlite } from "@effect/sql/Statement"
import { Config, type ConfigError, Context, Duration, Effect, Layer, type Scope } from "effect"
import * as fs from "node:fs/promises"
import * as os from "node:os"
import * as path from "node:path"
import * as Database from "./Database.js"
import { prepare } from "./internal/databaseFile.js"
import * as Migrations from "./Migrations.js"
import * as SqlCheckpointStore from "./SqlCheckpointStore.js"
import { toStorageError } from "./SqlError.js"
import * as SqliteConnection from "./SqliteConnection.js"
import { sqlite } from "./SqliteDialect.js"
import * as SqliteWatch from "./SqliteWatch.js"
import * as SqlJournal from "./SqlJournal.js"
import * as SqlQuery from "./SqlQuery.js"
import * as SqlWriter from "./SqlWriter.js"
import * as Transaction from "./Transaction.js"

/**
 * Every service, and the client that the caller's own statements and transactions go through.
 *
 * @since 0.1.0
 * @category models
 */
export type Services =
  | Command
  | Query
  | Journal
  | History
  | ActivityPubSub
  | ActivityFeed
  | Consumer.Consumer
  | CheckpointStore.CheckpointStore
  | SqlClient

/**
 * Which file, and how safe against power loss.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** The database file. Missing parent directories are made. */
  readonly filename: string
  /**
   * `full`, the default: an acknowledged command survives power loss. `normal`: it survives a crash of the process, and
   * power loss may take the last ones; it is several times faster.
   */
  readonly synchronous?: "full" | "normal" | undefined
  /** For how long a command that is sent again with its idempotency key gets the first answer; 7 days by default. */
  readonly idempotencyKeysKept?: Duration.DurationInput | undefined
}

/**
 * Opens the database and brings it to the newest schema. Fails with a `StorageError` that says why it cannot.
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
export const layer = (options: Options): Layer.Layer<Services, StorageError> => {
  const database = Layer.scoped(Database.Database, open(options))
  const client = Layer.effect(SqlClient, Effect.map(Database.Database, ({ sql }) => sql))
  return Layer.mergeAll(SqlWriter.layer, Consumer.layer, History.layer, client, SqliteWatch.layer(options.filename))
    .pipe(
      Layer.provideMerge(Layer.merge(InProcess.layer, SqlCheckpointStore.layer)),
      Layer.provideMerge(Layer.merge(SqlJournal.layer, SqlQuery.layer)),
      Layer.provide(database)
    )
}

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
 * A database in a temporary directory that is removed afterwards, for tests.
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

const open = (
  { filename, idempotencyKeysKept = defaultIdempotencyKeysKept, synchronous = "full" }: Options
): Effect.Effect<
  typeof Database.Database.Service,
  StorageError,
  Scope.Scope
> =>
  Effect.gen(function*() {
    yield* prepare(filename)

    const writer = yield* SqliteConnection.make(filename)
    // While it starts, the driver may wait for another process that migrates; later, waiting is the transaction's.
    yield* pragmas(writer, [
      "busy_timeout = 5000",
      "journal_mode = WAL",
      `synchronous = ${synchronous}`,
      "foreign_keys = ON",
      // Otherwise INSERT OR REPLACE would pass by the triggers that keep events from being deleted.
      "recursive_triggers = ON"
    ])
    const client = yield* Transaction.make({
      connection: writer,
      compiler: makeCompilerSqlite(),
      dialect: sqlite,
      spanAttributes: [["db.system.name", "sqlite"]]
    })
    yield* Effect.provideService(Migrations.run, SqlClient, client.sql)
    // Pages that are written again and again reach the file once in 16 MiB of log: a fifth faster than with 4 MiB.
    yield* pragmas(writer, ["busy_timeout = 0", "wal_autocheckpoint = 4000"])

    const reader = yield* (yield* connect({ filename, readonly: true, disableWAL: true })).reserve
    const snapshot = connect({ filename, readonly: true, disableWAL: true }).pipe(
      Effect.flatMap(({ reserve }) => reserve),
      Effect.tap((connection) => connection.execute("BEGIN", [], undefined)),
      Effect.provide(Reactivity.layer)
    )
    return Database.make({
      client,
      reader,
      snapshot,
      dialect: sqlite,
      idempotencyKeysKept: Duration.decode(idempotencyKeysKept)
    })
  }).pipe(
    Effect.provide(Reactivity.layer),
    Effect.catchTags({
      SqlError: (error) => Effect.fail(toStorageError(sqlite, `opening ${filename}`)(error)),
      MigrationError: ({ cause, message }) =>
        cause instanceof SqlError
          ? Effect.fail(toStorageError(sqlite, `migrating ${filename}`)(cause))
          : Effect.fail(
            new StorageError({ reason: "other", operation: `migrating ${filename}`, cause: new Error(message) })
          )
    }),
    // A transaction of the context is another database's.
    Effect.mapInputContext((context: Context.Context<Scope.Scope>) =>
      Context.omit(TransactionConnection)(context as Context.Context<Scope.Scope | TransactionConnection>)
    )
  )

/** The driver throws when it cannot open the file. */
const connect = (config: SqliteClient.SqliteClientConfig) =>
  Effect.catchAllDefect(SqliteClient.make(config), (cause) => new SqlError({ cause }))

const pragmas = (connection: Connection, settings: ReadonlyArray<string>) =>
  Effect.forEach(settings, (setting) => connection.execute(`PRAGMA ${setting}`, [], undefined), { discard: true })
