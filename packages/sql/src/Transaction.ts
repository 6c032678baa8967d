/**
 * A client whose transactions begin so that they may write, answer honestly when COMMIT fails, nest by savepoints, end
 * for good, and run what waits for the outermost commit.
 */
import type { Reactivity } from "@effect/experimental/Reactivity"
import * as SqlClient from "@effect/sql/SqlClient"
import type { Connection } from "@effect/sql/SqlConnection"
import { SqlError } from "@effect/sql/SqlError"
import type { Compiler } from "@effect/sql/Statement"
import { Effect, Exit, Option, Schedule, Scope, Stream } from "effect"
import type { Dialect } from "./Dialect.js"

/**
 * An open transaction.
 *
 * @since 0.1.0
 * @category models
 */
export interface Transaction {
  readonly connection: Connection
  /** Runs in order, each once, when the outermost transaction has committed: uninterruptibly and outside of it. */
  readonly afterCommit: Set<Effect.Effect<void>>
  /** For what must have the transaction's connection to itself. */
  readonly lock: Effect.Semaphore
}

/**
 * A client, and what its transactions tell.
 *
 * @since 0.1.0
 * @category models
 */
export interface TransactionalClient {
  readonly sql: SqlClient.SqlClient
  /** The client's `withTransaction`, of whose effect the connection is known to be provided. */
  readonly withTransaction: <A, E, R>(
    effect: Effect.Effect<A, E, R>
  ) => Effect.Effect<A, E | SqlError, Exclude<R, SqlClient.TransactionConnection>>
  /** The transaction of this client that the fiber is in; another client's is none. */
  readonly current: Effect.Effect<Transaction | undefined>
}

/** Waiting for another process's transaction must not block the event loop, so it is done here and not by the driver. */
const whileBusy = Schedule.exponential("1 millis", 1.5).pipe(
  Schedule.union(Schedule.spaced("25 millis")),
  Schedule.jittered,
  Schedule.upTo("5 seconds")
)

/**
 * A client over connections that `acquirer` lends for exclusive use.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: {
  readonly acquirer: Connection.Acquirer
  readonly compiler: Compiler
  readonly dialect: Dialect
  readonly spanAttributes: ReadonlyArray<readonly [string, unknown]>
}): Effect.Effect<TransactionalClient, never, Reactivity> => {
  const { dialect } = options
  const isBusy = (error: SqlError) => dialect.reasonOf(error.cause) === "busy"
  const patiently = <A>(effect: Effect.Effect<A, SqlError>) =>
    Effect.catchIf(effect, isBusy, () => Effect.retry(effect, { while: isBusy, schedule: whileBusy }))
  const acquirer = Effect.map(options.acquirer, (connection) => wrap(connection, patiently))

  const open = new WeakMap<Connection, OpenTransaction>()
  const joined = Effect.map(Effect.serviceOption(SqlClient.TransactionConnection), (context) => {
    const transaction = Option.isSome(context) ? open.get(context.value[0]) : undefined
    return transaction && Option.isSome(context) ? [transaction, context.value[1]] as const : undefined
  })

  const outermost = <A, E, R>(
    effect: Effect.Effect<A, E, R>
  ): Effect.Effect<A, E | SqlError, Exclude<R, SqlClient.TransactionConnection>> =>
    Effect.uninterruptibleMask((restore) => {
      const afterCommit = new Set<Effect.Effect<void>>()
      const transact = (scope: Scope.CloseableScope) =>
        Effect.gen(function*() {
          const plain = yield* restore(Scope.extend(acquirer, scope))
          const transaction = new OpenTransaction(dialect, plain, afterCommit)
          const { connection } = transaction
          open.set(connection, transaction)
          const exit = yield* plain.execute(dialect.begin, [], undefined).pipe(
            Effect.zipRight(Effect.provideService(effect, SqlClient.TransactionConnection, [connection, 0])),
            restore,
            Effect.exit
          )
          open.delete(connection)
          const failed = transaction.end()
          if (Exit.isSuccess(exit) && Option.isNone(failed)) {
            yield* Effect.tapError(plain.execute("COMMIT", [], undefined), () => rollback(plain))
            return exit.value
          }
          yield* rollback(plain)
          return yield* Exit.isSuccess(exit) && Option.isSome(failed) ? failed.value : exit
        })
      // The connection's scope is not the effect's: what the effect acquires stays the caller's.
      return Effect.acquireUseRelease(Scope.make(), transact, Scope.close).pipe(
        Effect.tap(() => Effect.forEach(afterCommit, (effect) => effect, { discard: true }))
      )
    })

  const nested = <A, E, R>(
    effect: Effect.Effect<A, E, R>,
    transaction: OpenTransaction,
    depth: number
  ): Effect.Effect<A, E | SqlError, Exclude<R, SqlClient.TransactionConnection>> =>
    Effect.uninterruptibleMask((restore) =>
      Effect.gen(function*() {
        const { connection } = transaction
        const savepoint = `caravel_${transaction.nextSavepoint()}`
        yield* connection.execute(`SAVEPOINT ${savepoint}`, [], undefined)
        const exit = yield* Effect.provideService(effect, SqlClient.TransactionConnection, [connection, depth + 1])
          .pipe(
            restore,
            Effect.exit
          )
        if (Exit.isFailure(exit)) {
          // Where this fails, what should have been undone must not be committed.
          yield* Effect.catchAll(connection.execute(`ROLLBACK TO ${savepoint}`, [], undefined), transaction.fail)
          return yield* exit
        }
        yield* connection.execute(`RELEASE ${savepoint}`, [], undefined)
        return exit.value
      })
    )

  const withTransaction = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
    Effect.flatMap(joined, (joined) => joined ? nested(effect, ...joined) : outermost(effect)).pipe(
      Effect.withSpan("sql.transaction", { kind: "client", captureStackTrace: false })
    )

  return Effect.map(
    SqlClient.make({ ...options, acquirer, transactionAcquirer: acquirer }),
    (client) => ({
      sql: Object.assign(client, { withTransaction }),
      withTransaction,
      current: Effect.map(joined, (joined) => joined?.[0])
    })
  )
}

/** SQLite ends a transaction by itself on some errors; there is nothing to roll back then. */
const rollback = (connection: Connection) => Effect.ignore(connection.execute("ROLLBACK", [], undefined))

class OpenTransaction implements Transaction {
  readonly connection: Connection
  readonly afterCommit: Set<Effect.Effect<void>>
  readonly lock = Effect.unsafeMakeSemaphore(1)
  private readonly dialect: Dialect
  private savepoints = 0
  private failure: Option.Option<SqlError> = Option.none()

  constructor(dialect: Dialect, connection: Connection, afterCommit: Set<Effect.Effect<void>>) {
    this.dialect = dialect
    this.connection = wrap(connection, (statement) => this.guard(statement))
    this.afterCommit = afterCommit
  }

  readonly fail = (error: SqlError): Effect.Effect<void> =>
    Effect.sync(() => {
      this.failure = Option.some(error)
    })

  nextSavepoint(): number {
    return this.savepoints++
  }

  /** No statement runs from now on. Gives the error, if any, by which the database ended the transaction before. */
  end(): Option.Option<SqlError> {
    const failure = this.failure
    this.failure = Option.some(ended)
    return failure
  }

  /** A statement of a fiber that outlived its transaction, or that the database ended, must not run outside of it. */
  private guard<A>(statement: Effect.Effect<A, SqlError>): Effect.Effect<A, SqlError> {
    return Effect.suspend(() =>
      Option.isSome(this.failure)
        ? Effect.fail(this.failure.value)
        : Effect.tapError(statement, (error) =>
          this.dialect.endsTransaction(error.cause) ? this.fail(error) : Effect.void)
    )
  }
}

const ended = new SqlError({
  message: "The transaction has ended",
  cause: new Error("a fiber outlived the transaction it was forked in; fork it outside, or await it inside")
})

const wrap = (
  connection: Connection,
  around: <A>(statement: Effect.Effect<A, SqlError>) => Effect.Effect<A, SqlError>
): Connection => ({
  execute: (sql, params, transformRows) => around(connection.execute(sql, params, transformRows)),
  executeRaw: (sql, params) => around(connection.executeRaw(sql, params)),
  executeValues: (sql, params) => around(connection.executeValues(sql, params)),
  // The SQLite driver throws while it prepares these; `execute` fails.
  executeUnprepared: (sql, params, transformRows) => around(connection.execute(sql, params, transformRows)),
  executeStream: (sql, params, transformRows) =>
    Stream.unwrap(Effect.as(around(Effect.void), connection.executeStream(sql, params, transformRows)))
})
