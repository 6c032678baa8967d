/**
 * A client whose transactions begin so that they may write, answer honestly when COMMIT fails, nest by savepoints, end
 * for good, and run what waits for the outermost commit.
 */
import { withSpan } from "@caravel/domain"
import type { Reactivity } from "@effect/experimental/Reactivity"
import * as SqlClient from "@effect/sql/SqlClient"
import type { Connection } from "@effect/sql/SqlConnection"
import { SqlError } from "@effect/sql/SqlError"
import type { Compiler } from "@effect/sql/Statement"
import { Context, Effect, Either, Exit, Function, Option, Schedule, Stream } from "effect"
import type { Dialect } from "./Dialect.js"
import { each } from "./internal/each.js"
import type { AnsweringConnection } from "./Program.js"

/**
 * An open transaction.
 *
 * @since 0.1.0
 * @category models
 */
export interface Transaction {
  readonly connection: AnsweringConnection
  /** Runs in order, each once, when the outermost transaction has committed: uninterruptibly and outside of it. */
  readonly afterCommit: Set<Effect.Effect<void>>
  /** For what must have the transaction's connection to itself. */
  readonly lock: Effect.Semaphore
}

/**
 * A client, and its transactions.
 *
 * @since 0.1.0
 * @category models
 */
export interface TransactionalClient {
  readonly sql: SqlClient.SqlClient
  /** Runs what `use` gives in a transaction of its own or, inside one of this client, in a savepoint of that. */
  readonly transact: <A, E, R>(
    use: (transaction: Transaction) => Effect.Effect<A, E, R>
  ) => Effect.Effect<A, E | SqlError, R>
  /** The transaction of this client that the fiber is in; another client's is none. */
  readonly current: Effect.Effect<Transaction | undefined>
  /** From now on the client fails with this error. */
  readonly fail: (error: SqlError) => Effect.Effect<void>
}

/** Waiting for another process's transaction must not block the event loop, so it is done here and not by the driver. */
const whileBusy = Schedule.exponential("1 millis", 1.5).pipe(
  Schedule.union(Schedule.spaced("25 millis")),
  Schedule.jittered,
  Schedule.upTo("5 seconds")
)

/**
 * A client over one connection, which it lends to one transaction or statement at a time.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: {
  readonly connection: AnsweringConnection
  readonly compiler: Compiler
  readonly dialect: Dialect
  readonly spanAttributes: ReadonlyArray<readonly [string, unknown]>
}): Effect.Effect<TransactionalClient, never, Reactivity> => {
  const { compiler, connection: plain, dialect, spanAttributes } = options
  const isBusy = (error: SqlError) => dialect.reasonOf(error.cause) === "busy"
  const patiently = <A>(effect: Effect.Effect<A, SqlError>) =>
    Effect.catchIf(effect, isBusy, () => Effect.retry(effect, { while: isBusy, schedule: whileBusy }))
  let failure: SqlError | undefined
  const usable = Effect.suspend(() => failure === undefined ? Effect.void : Effect.fail(failure))
  const begin = Effect.zipRight(usable, patiently(plain.execute(dialect.begin, [], undefined)))
  const commit = Effect.tapError(plain.execute("COMMIT", [], undefined), () => rollback(plain))

  const turn = Effect.unsafeMakeSemaphore(1)
  const acquirer = Effect.uninterruptibleMask((restore) =>
    Effect.zipRight(restore(turn.take(1)), Effect.addFinalizer(() => turn.release(1)))
  ).pipe(Effect.zipRight(usable), Effect.as(wrap(plain, patiently)))

  const open = new WeakMap<Connection, OpenTransaction>()
  const joined = Effect.withFiberRuntime<readonly [OpenTransaction, depth: number] | undefined>((fiber) => {
    const context = Context.getOption(fiber.currentContext, SqlClient.TransactionConnection)
    const transaction = Option.isSome(context) ? open.get(context.value[0]) : undefined
    return Effect.succeed(transaction && Option.isSome(context) ? [transaction, context.value[1]] : undefined)
  })

  const outermost = <A, E, R>(use: Use<A, E, R>): Effect.Effect<A, E | SqlError, R> =>
    Effect.uninterruptibleMask((restore) =>
      Effect.flatMap(restore(turn.take(1)), () => {
        const transaction = new OpenTransaction(dialect, plain)
        open.set(transaction.connection, transaction)
        return restore(Effect.zipRight(begin, use(transaction, 0))).pipe(
          Effect.exit,
          Effect.flatMap((exit) => {
            open.delete(transaction.connection)
            const failed = transaction.end()
            if (Exit.isFailure(exit)) return Effect.zipRight(rollback(plain), exit)
            return Option.isSome(failed)
              ? Effect.zipRight(rollback(plain), failed.value)
              : Effect.as(commit, exit.value)
          }),
          Effect.exit,
          Effect.tap(() => turn.release(1)),
          Effect.flatten,
          Effect.tap(() => each(transaction.afterCommit, Function.identity))
        )
      })
    )

  const nested = <A, E, R>(
    use: Use<A, E, R>,
    transaction: OpenTransaction,
    depth: number
  ): Effect.Effect<A, E | SqlError, R> =>
    Effect.uninterruptibleMask((restore) =>
      Effect.gen(function*() {
        const { connection } = transaction
        const savepoint = `caravel_${transaction.nextSavepoint()}`
        yield* connection.execute(`SAVEPOINT ${savepoint}`, [], undefined)
        const exit = yield* Effect.exit(restore(use(transaction, depth)))
        if (Exit.isFailure(exit)) {
          // Where this fails, what should have been undone must not be committed.
          yield* Effect.catchAll(connection.execute(`ROLLBACK TO ${savepoint}`, [], undefined), transaction.fail)
          return yield* exit
        }
        yield* connection.execute(`RELEASE ${savepoint}`, [], undefined)
        return exit.value
      })
    )

  const transact = <A, E, R>(use: Use<A, E, R>) =>
    Effect.flatMap(joined, (joined) => joined ? nested(use, joined[0], joined[1] + 1) : outermost(use)).pipe(
      withSpan("sql.transaction", { kind: "client" })
    )

  const withTransaction = <A, E, R>(
    effect: Effect.Effect<A, E, R>
  ): Effect.Effect<A, E | SqlError, Exclude<R, SqlClient.TransactionConnection>> =>
    transact(({ connection }, depth) =>
      Effect.provideService(effect, SqlClient.TransactionConnection, [connection, depth])
    )

  return Effect.map(
    SqlClient.make({ acquirer, compiler, spanAttributes, transactionAcquirer: acquirer }),
    (client) => ({
      sql: Object.assign(client, { withTransaction }),
      transact,
      current: Effect.map(joined, (joined) => joined?.[0]),
      fail: (error) =>
        Effect.sync(() => {
          failure = error
        })
    })
  )
}

/** What runs in a transaction, at a depth of savepoints. */
type Use<A, E, R> = (transaction: OpenTransaction, depth: number) => Effect.Effect<A, E, R>

/** SQLite ends a transaction by itself on some errors; there is nothing to roll back then. */
const rollback = (connection: Connection) => Effect.ignore(connection.execute("ROLLBACK", [], undefined))

class OpenTransaction implements Transaction {
  readonly connection: AnsweringConnection
  readonly afterCommit = new Set<Effect.Effect<void>>()
  readonly lock = Effect.unsafeMakeSemaphore(1)
  private readonly dialect: Dialect
  private savepoints = 0
  private failure: Option.Option<SqlError> = Option.none()

  constructor(dialect: Dialect, connection: AnsweringConnection) {
    this.dialect = dialect
    const { answer } = connection
    this.connection = {
      ...wrap(connection, (statement) => this.guard(statement)),
      ...(answer && {
        answer: (request) =>
          Option.isSome(this.failure)
            ? Either.left(this.failure.value)
            : Either.mapLeft(answer(request), (error) => this.noted(error))
      })
    }
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
        : Effect.mapError(statement, (error) => this.noted(error))
    )
  }

  private noted(error: SqlError): SqlError {
    if (this.dialect.endsTransaction(error.cause)) this.failure = Option.some(error)
    return error
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
