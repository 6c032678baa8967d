/**
 * Opens a PostgreSQL database. Callers' statements, Caravel's own and the writer have separate connections, so that
 * none waits for another.
 */
import { type Epoch, StorageError } from "@caravel/domain"
import { defaultIdempotencyKeysKept } from "@caravel/domain/adapter"
import { Waiting } from "@caravel/pubsub"
import * as Reactivity from "@effect/experimental/Reactivity"
import { makeCompiler } from "@effect/sql-pg/PgClient"
import { SqlClient, TransactionConnection } from "@effect/sql/SqlClient"
import type { Connection } from "@effect/sql/SqlConnection"
import { SqlError } from "@effect/sql/SqlError"
import { Context, Duration, Effect, Function, Schedule, type Scope, Stream } from "effect"
import * as Database from "../database/Database.js"
import { toStorageError } from "../database/StorageErrors.js"
import type * as Transaction from "../database/Transaction.js"
import * as TransactionalClient from "../database/TransactionalClient.js"
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
import type { Options } from "./PostgresOptions.js"
import * as PostgresPool from "./PostgresPool.js"
import * as PostgresPurge from "./PostgresPurge.js"
import * as PostgresUrl from "./PostgresUrl.js"

/** The number of connections for Caravel's own statements, besides the writer's. */
const ownConnections = 7

const missing = (schema: string | undefined) =>
  new StorageError({
    reason: "missing",
    operation: "opening the database",
    cause: new Error(`it has no Caravel tables${schema === undefined ? "" : ` in schema ${schema}`}`)
  })

/** How often the outcome of a COMMIT is looked up, if its answer is lost. */
const whileUnknown = Waiting.retryWhile((_: SqlError) => true, Schedule.spaced("250 millis"))

/**
 * Opens the database and migrates it to the newest schema. Missing tables are created, unless the database is the
 * source of a copy or `create` is false. Fails if the database is an unfinished copy, unless it is the target of a
 * copy.
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
      resolveUnknownCommit: (written, error) =>
        isLost(error.cause) ? resolveUnknownCommit(written, error) : Effect.fail(error)
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
     * Finds out whether a transaction whose COMMIT was not answered has committed. It waits for the append lock, which
     * that transaction holds until it ends, which is before the deadline.
     */
    const resolveUnknownCommit = (written: ReadonlyArray<string>, error: SqlError): Effect.Effect<void, SqlError> => {
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
    const client = yield* TransactionalClient.make({
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
      // Sent together with the next statements, without a round trip of its own.
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
    // A transaction in the context belongs to another database.
    Effect.mapInputContext((context: Context.Context<Scope.Scope>) =>
      Context.omit(TransactionConnection)(context as Context.Context<Scope.Scope | TransactionConnection>)
    )
  )

/** A connection that takes one from the pool for each statement. The statements only read, so they can be retried. */
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
    executeStream: () => Stream.dieMessage("Caravel streams no statements")
  }
}
