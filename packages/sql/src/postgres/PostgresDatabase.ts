/**
 * A PostgreSQL database: connections for what callers do, for what Caravel does, and the one that writes; none waits for
 * another.
 */
import { defaultIdempotencyKeysKept, type Epoch, StorageError } from "@caravel/domain"
import { Waiting } from "@caravel/pubsub"
import * as Reactivity from "@effect/experimental/Reactivity"
import { makeCompiler } from "@effect/sql-pg/PgClient"
import { SqlClient, TransactionConnection } from "@effect/sql/SqlClient"
import type { Connection } from "@effect/sql/SqlConnection"
import { SqlError } from "@effect/sql/SqlError"
import { Context, Duration, Effect, Function, type Redacted, Schedule, type Scope, Stream } from "effect"
import type { ConnectionOptions } from "node:tls"
import * as Database from "../database/Database.js"
import { toStorageError } from "../database/StorageErrors.js"
import * as Transaction from "../database/Transaction.js"
import * as Epochs from "../schema/Epochs.js"
import * as Migrations from "../schema/Migrations.js"
import * as SecretCodec from "../schema/SecretCodec.js"
import * as Patience from "../statement/Patience.js"
import { execute } from "../statement/StatementScript.js"
import * as PostgresBounds from "./PostgresBounds.js"
import type { Config } from "./PostgresClient.js"
import * as PostgresConnection from "./PostgresConnection.js"
import { postgres } from "./PostgresDialect.js"
import { ConnectionLost, isLost } from "./PostgresError.js"
import * as PostgresOpening from "./PostgresOpening.js"
import * as PostgresPool from "./PostgresPool.js"
import * as PostgresPurge from "./PostgresPurge.js"
import * as PostgresUrl from "./PostgresUrl.js"

/** Which database, and how to reach it. */
export interface Options {
  /** Such as `postgres://user:password@host:5432/database`. */
  readonly url: Redacted.Redacted
  /**
   * The schema of all tables, made if there is none; without it, the role's own (`search_path`), which is `public` as a rule.
   */
  readonly schema?: string | undefined
  /**
   * Whether the tables are created if there are none, as they are by default; otherwise opening fails with reason `missing`.
   */
  readonly create?: boolean | undefined
  /** Whether to use TLS, or how; what the URL says of it (`sslmode`) goes first. */
  readonly ssl?: boolean | ConnectionOptions | undefined
  /** How many connections callers' own statements and transactions have; 10 by default. Caravel has up to 8 besides. */
  readonly maxConnections?: number | undefined
  /**
   * `listen`, the default: processes notify one another of commits, and look by themselves every two seconds too. `poll`: they
   * only look, five times a second; behind PgBouncer in transaction mode nothing else works.
   */
  readonly wakeUps?: "listen" | "poll" | undefined
  /**
   * For how long a transaction of yours may be idle, or one of its statements run, after a command in it: until it ends, no
   * other command can be written. After that the server ends the transaction. 10 seconds by default; `Duration.infinity` for no
   * bound.
   */
  readonly holdTimeout?: Duration.DurationInput | undefined
  /** For how long a command that is sent again with its idempotency key gets the first answer; 7 days by default. */
  readonly idempotencyKeysKept?: Duration.DurationInput | undefined
  /** By how much clocks may differ before it is logged, counted and told by `Journal.verify`; 5 minutes by default. */
  readonly clockTolerance?: Duration.DurationInput | undefined
  /**
   * Encrypts wallet URLs in the database. Keys of 32 bytes in base64 or hex: the first encrypts, each of them decrypts. If you
   * lose a key, the URLs that it encrypted cannot be recovered. Without keys, the default, they are stored in clear.
   */
  readonly secretKeys?: ReadonlyArray<Redacted.Redacted> | undefined
}

/** How many connections Caravel has for itself, beside the one that writes. */
const ownConnections = 7

const missing = (schema: string | undefined) =>
  new StorageError({
    reason: "missing",
    operation: "opening the database",
    cause: new Error(`it has no Caravel tables${schema === undefined ? "" : ` in schema ${schema}`}`)
  })

/** How often the outcome of a COMMIT is looked for, when its answer is lost. */
const whileUnknown = Waiting.retryWhile((_: SqlError) => true, Schedule.spaced("250 millis"))

/**
 * Opens the database and brings it to the newest schema. An unfinished copy is refused, unless it is a copy's target; where
 * there is no database of Caravel's, one is made, unless it is a copy's source or `create` is off.
 */
export const open = (
  options: Options,
  purpose?: Database.Purpose
): Effect.Effect<
  { readonly database: typeof Database.Database.Service; readonly config: Config },
  StorageError,
  Scope.Scope
> =>
  Effect.gen(function*() {
    const { idempotencyKeysKept = defaultIdempotencyKeysKept, maxConnections = 10, secretKeys = [] } = options
    const secrets = yield* Effect.mapError(
      SecretCodec.make(secretKeys),
      (cause) => new StorageError({ reason: "key", operation: "opening the database", cause })
    )
    const { create = true, schema } = options
    const config = yield* PostgresUrl.read(options)
    yield* PostgresOpening.check(config, schema)
    const writer = yield* PostgresPool.make(
      { ...config, max: 1 },
      { watched: "all", prepares: options.wakeUps !== "poll" }
    )
    const own = yield* PostgresPool.make({ ...config, max: ownConnections }, { watched: "all" })
    const callers = yield* PostgresPool.make({ ...config, max: maxConnections }, { watched: "own" })

    const connections = (
      { acquire, release }: PostgresPool.Pool,
      begin: (patience: Patience.Patience) => string
    ): Transaction.Connections => ({
      acquire: (restore, patience) => restore(acquire(patience)),
      release,
      begin,
      retryWhileBusy: Function.identity,
      resolveUnknownCommit: (written, error) => isLost(error.cause) ? outcome(written, error) : Effect.fail(error)
    })
    const long: Transaction.Connections = {
      ...connections(own, () => PostgresBounds.beginLong),
      acquire: (restore, patience) =>
        Effect.map(restore(own.acquire(patience)), (connection) => {
          connection.watched = "none"
          return connection
        })
    }

    const holdTimeout = Duration.decode(options.holdTimeout ?? PostgresBounds.defaultHoldTimeout)
    const holderBounds = PostgresBounds.holder(holdTimeout)
    const { begin: beginLive, signOfLife } = PostgresBounds.live(holdTimeout)
    const live: Transaction.Connections = {
      ...connections(callers, () => beginLive),
      acquire: (restore, patience) =>
        Effect.map(restore(callers.acquire(patience)), (connection) => {
          connection.showLife(signOfLife, holderBounds)
          return connection
        })
    }

    /**
     * Finds out whether a transaction whose COMMIT was not answered has committed. The lock is held as long as that transaction
     * runs, which is shorter than the deadline.
     */
    const outcome = (written: ReadonlyArray<string>, error: SqlError): Effect.Effect<void, SqlError> => {
      const [last] = written.slice(-1)
      const unknown = new SqlError({
        message: error.message,
        cause: new StorageError({ reason: "commitUnknown", operation: "commit", cause: error.cause })
      })
      if (last === undefined) return Effect.fail(unknown)
      const patience = Patience.make(error.cause instanceof ConnectionLost ? error.cause.since : undefined)
      const lookUp = Effect.gen(function*() {
        const connection = yield* own.scoped(patience)
        yield* connection.executeRaw(PostgresBounds.beginOwn(patience), [])
        yield* connection.executeRaw(postgres.appendLock!, [])
        const found = yield* connection.executeValues("SELECT 1 FROM caravel_event WHERE id = $1", [last])
        yield* connection.executeRaw("ROLLBACK", [])
        return found.length > 0
      }).pipe(Effect.scoped)
      return whileUnknown(lookUp, patience).pipe(
        Effect.mapError(() => unknown),
        Effect.flatMap((isCommitted) => isCommitted ? Effect.void : Effect.fail(error))
      )
    }

    let epoch: Epoch | undefined
    const client = yield* Transaction.make({
      callerStatements: Effect.map(
        callers.scoped(),
        (connection) =>
          epoch === undefined
            ? connection
            : connection.begunWith({ text: "SELECT caravel_in_epoch($1)", params: [epoch] })
      ),
      callerTransactions: connections(callers, () => PostgresBounds.beginCallers),
      internal: connections(own, PostgresBounds.beginOwn),
      longInternal: long,
      liveTransactions: live,
      commandWriter: connections(writer, PostgresBounds.beginOwn),
      compiler: makeCompiler(),
      dialect: postgres,
      spanAttributes: [
        ["db.system.name", "postgresql"],
        ...(config.host === undefined ? [] : [["server.address", config.host]] as const)
      ],
      // It goes with what comes next: no round trip of its own.
      afterBegin: () => execute(epoch === undefined ? [] : [["SELECT caravel_in_epoch(?)", [epoch], 1]])
    })
    if (!create || purpose === "source") {
      const isMade = yield* Effect.provideService(Migrations.isMade, SqlClient, client.sql)
      if (!isMade) return yield* missing(schema)
    }
    yield* Effect.provideService(Migrations.run(schema), SqlClient, client.sql)

    const reader = plainly(own)
    if (purpose !== "target") {
      epoch = yield* Effect.flatMap(reader.executeValues(Epochs.currentEpoch, []), Epochs.decodeCurrent)
    }
    const snapshot = PostgresConnection.connect(config).pipe(
      Effect.tap((connection) => connection.executeRaw(PostgresBounds.beginSnapshot, []))
    )
    const database = Database.make({
      client,
      reader,
      snapshot,
      dialect: postgres,
      secrets,
      purge: PostgresPurge.make(config),
      idempotencyKeysKept: Duration.decode(idempotencyKeysKept),
      holderBounds,
      clockTolerance: options.clockTolerance
    })
    return { database, config }
  }).pipe(
    Effect.provide(Reactivity.layer),
    Effect.catchTags({
      ParseError: (error) => Effect.fail(toStorageError(postgres, "opening the database")(error)),
      SqlError: (error) => Effect.fail(toStorageError(postgres, "opening the database")(error)),
      MigrationError: ({ cause, message }) =>
        cause instanceof SqlError
          ? Effect.fail(toStorageError(postgres, "migrating the database")(cause))
          : Effect.fail(
            new StorageError({ reason: "other", operation: "migrating the database", cause: new Error(message) })
          )
    }),
    // A transaction of the context is another database's.
    Effect.mapInputContext((context: Context.Context<Scope.Scope>) =>
      Context.omit(TransactionConnection)(context as Context.Context<Scope.Scope | TransactionConnection>)
    )
  )

/** A connection that takes one from the pool for each statement. The statements only read, so they may be run again. */
const plainly = ({ scoped }: PostgresPool.Pool): Connection => {
  const run = <A>(use: (connection: Connection) => Effect.Effect<A, SqlError>) =>
    Effect.suspend(() => {
      const patience = Patience.make()
      return PostgresPool.again(Effect.scoped(Effect.flatMap(scoped(patience), use)), patience)
    })
  return {
    execute: (...parameters) => run((connection) => connection.execute(...parameters)),
    executeRaw: (...parameters) => run((connection) => connection.executeRaw(...parameters)),
    executeValues: (...parameters) => run((connection) => connection.executeValues(...parameters)),
    executeUnprepared: (...parameters) => run((connection) => connection.executeUnprepared(...parameters)),
    executeStream: () => Stream.dieMessage("nothing of Caravel's is streamed")
  }
}
