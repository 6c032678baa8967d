/**
 * A client whose transactions can write from the start, report a failed COMMIT, nest by savepoints, refuse statements
 * after their end, and run effects after the outermost commit. Only this file begins, commits and rolls back
 * transactions.
 */
import { withSpan } from "@caravel/domain/adapter"
import type { Reactivity } from "@effect/experimental/Reactivity"
import * as SqlClient from "@effect/sql/SqlClient"
import type { Connection } from "@effect/sql/SqlConnection"
import { SqlError } from "@effect/sql/SqlError"
import type { Compiler } from "@effect/sql/Statement"
import { Context, Effect, Either, type Fiber, Function, Option, type Scope } from "effect"
import type { Dialect } from "../statement/Dialect.js"
import * as Patience from "../statement/Patience.js"
import {
  type AnsweringConnection,
  execute,
  run,
  type StatementScript,
  type Step
} from "../statement/StatementScript.js"
import type { Restore } from "../statement/Turns.js"
import { each } from "./AfterCommit.js"
import { OpenTransaction } from "./OpenTransaction.js"
import { type Transaction, TransactionScope } from "./TransactionScope.js"

/** A client with its transactions. */
export interface TransactionalClient {
  readonly sql: SqlClient.SqlClient
  /**
   * Runs what `use` returns in a new transaction. Inside a transaction of this client, it runs in a savepoint of that
   * one, and callers' statements in it are part of the savepoint.
   */
  readonly transact: <A, E, R>(
    use: (transaction: Transaction) => Effect.Effect<A, E, R>
  ) => Effect.Effect<A, E | SqlError, R>
  /** The same for long operations, which the server does not bound. */
  readonly transactLong: TransactionalClient["transact"]
  /** `sql.withTransaction` for work that another process takes over if this one hangs. It is not bounded otherwise. */
  readonly withLiveTransaction: SqlClient.SqlClient["withTransaction"]
  /**
   * Runs a script in a transaction of its own, in as few fiber steps and round trips as the connection allows.
   * `written` returns the id of an event that the script inserted, or `undefined`. Must be run in an uninterruptible
   * region: `restore` makes the wait until the transaction begins interruptible.
   */
  readonly commit: <A, E>(
    script: () => StatementScript<Either.Either<A, E>>,
    written: (result: A) => string | undefined,
    patience: Patience.Patience,
    restore: Restore
  ) => Effect.Effect<A, E | SqlError>
  /**
   * The transaction of this client that a fiber is in, which may have ended. Transactions of other clients do not
   * count.
   */
  readonly transactionOf: (fiber: Fiber.RuntimeFiber<unknown, unknown>) => Transaction | undefined
  /** The same for the current fiber. */
  readonly currentTransaction: Effect.Effect<Transaction | undefined>
  /** Makes every later transaction and statement fail with this error. */
  readonly fail: (error: SqlError) => Effect.Effect<void>
}

/** How transactions acquire connections, and how they begin on them. */
export interface Connections {
  /** Acquires a connection for exclusive use, uninterruptibly; `restore` makes the wait interruptible. */
  readonly acquire: (restore: Restore, patience: Patience.Patience) => Effect.Effect<AnsweringConnection, SqlError>
  readonly release: (connection: AnsweringConnection) => Effect.Effect<void>
  readonly begin: (patience: Patience.Patience) => string
  /** Retries while another process holds a lock, if the server does not wait for it. */
  readonly retryWhileBusy: <A>(
    effect: Effect.Effect<A, SqlError>,
    patience: Patience.Patience,
    restore?: Restore
  ) => Effect.Effect<A, SqlError>
  /**
   * Finds out whether a transaction whose COMMIT failed was committed after all, by the events written in it. Fails
   * with that error if it was not.
   */
  readonly resolveUnknownCommit: (written: ReadonlyArray<string>, error: SqlError) => Effect.Effect<void, SqlError>
}

/** A client over the connections for plain statements and for transactions, which may be the same. */
export const make = (options: {
  /** For callers' plain statements. */
  readonly callerStatements: Effect.Effect<Connection, SqlError, Scope.Scope>
  /** For callers' transactions. */
  readonly callerTransactions: Connections
  /**
   * For Caravel's own transactions. They have connections of their own, because a caller may wait for one inside a
   * transaction.
   */
  readonly internal: Connections
  /** The same for long operations. */
  readonly longInternal: Connections
  /** For callers' transactions that another process takes over if this one hangs. */
  readonly liveTransactions: Connections
  /** For scripts of the command writer, which wait only for one another. */
  readonly commandWriter: Connections
  readonly compiler: Compiler
  readonly dialect: Dialect
  readonly spanAttributes: ReadonlyArray<readonly [string, unknown]>
  /** Runs right after BEGIN. If it fails, nothing is written. */
  readonly afterBegin?: () => StatementScript<void>
}): Effect.Effect<TransactionalClient, never, Reactivity> => {
  const {
    callerTransactions,
    compiler,
    dialect,
    liveTransactions,
    longInternal,
    internal,
    callerStatements,
    spanAttributes,
    commandWriter
  } = options
  let failure: SqlError | undefined
  const usable = Effect.suspend(() => failure === undefined ? Effect.void : Effect.fail(failure))
  const acquirer = Effect.zipLeft(callerStatements, usable)
  const beginning = function*(begin: string): StatementScript<void> {
    yield* execute([[begin, [], 0]])
    if (options.afterBegin !== undefined) yield* options.afterBegin()
  }

  const scopes = new WeakMap<Connection, TransactionScope>()
  /** The scope that a fiber is in. */
  const scopeOf = (fiber: Fiber.RuntimeFiber<unknown, unknown>): TransactionScope | undefined => {
    const context = Context.getOption(fiber.currentContext, SqlClient.TransactionConnection)
    return Option.isSome(context) ? scopes.get(context.value[0]) : undefined
  }

  /** Runs what `use` returns with its statements in this scope. */
  const inScope = <A, E, R>(use: Use<A, E, R>) => (scope: TransactionScope): Effect.Effect<A, E, R> => {
    scopes.set(scope.callers, scope)
    return Effect.mapInputContext(
      use(scope),
      (context: Context.Context<R>) =>
        Context.add(context, SqlClient.TransactionConnection, [scope.callers, scope.depth])
    )
  }

  /** The connection is released before the effects after the commit run. */
  const outermost = <A, E, R>(
    { acquire, begin, resolveUnknownCommit, retryWhileBusy, release }: Connections,
    use: Use<A, E, R>
  ): Effect.Effect<A, E | SqlError, R> =>
    Effect.uninterruptibleMask((restore) => {
      const patience = Patience.make()
      return Effect.flatMap(acquire(restore, patience), (connection) => {
        const transaction = new OpenTransaction(dialect, connection)
        const scope = new TransactionScope(transaction)
        return restore(
          usable.pipe(
            Effect.zipRight(
              retryWhileBusy(
                Effect.suspend(() => run(dialect.withNativePlaceholders(connection), beginning(begin(patience)))),
                patience
              )
            ),
            Effect.zipRight(use(scope))
          )
        ).pipe(
          Effect.zipLeft(scope.close(restore)),
          Effect.zipLeft(Effect.catchAll(
            connection.executeRaw("COMMIT", []),
            (error) => resolveUnknownCommit(transaction.written, error)
          )),
          Effect.tapErrorCause(() => {
            scope.abort()
            return Effect.zipRight(transaction.idle, rollback(connection))
          }),
          Effect.exit,
          Effect.tap(() => release(connection)),
          Effect.flatten,
          Effect.tap(() => each(transaction.afterCommit, Function.identity))
        )
      })
    })

  /**
   * BEGIN, a script and COMMIT, as one script. ROLLBACK replaces COMMIT if the script results in an error or any
   * statement fails, even BEGIN.
   */
  function* committed<A, E>(
    begin: string,
    script: StatementScript<Either.Either<A, E>>,
    onDecided: (decided: Either.Either<A, E>) => void
  ): StatementScript<Either.Either<A, E>> {
    let isCommitted = false
    try {
      yield* beginning(begin)
      const decided = yield* script
      onDecided(decided)
      if (Either.isRight(decided)) {
        yield commitStep
        isCommitted = true
      }
      return decided
    } finally {
      if (!isCommitted) yield* rolledBack()
    }
  }

  const commit = <A, E>(
    script: () => StatementScript<Either.Either<A, E>>,
    written: (result: A) => string | undefined,
    patience: Patience.Patience,
    restore: Restore
  ): Effect.Effect<A, E | SqlError> => {
    const { acquire, begin, resolveUnknownCommit, retryWhileBusy, release } = commandWriter
    const attempt = (connection: AnsweringConnection) =>
      Effect.suspend((): Effect.Effect<Either.Either<A, E>, SqlError> => {
        if (failure !== undefined) return Effect.fail(failure)
        let id: string | undefined
        let result: Either.Either<A, E>
        const onDecided = (decided: Either.Either<A, E>) => {
          result = decided
          if (Either.isRight(decided)) id = written(decided.right)
        }
        return Effect.catchAll(
          run(dialect.withNativePlaceholders(connection), committed(begin(patience), script(), onDecided)),
          // If nothing was written, it makes no difference whether it was committed.
          (error) => id === undefined ? Effect.fail(error) : Effect.map(resolveUnknownCommit([id], error), () => result)
        )
      })
    return Effect.flatMap(
      acquire(restore, patience),
      (connection) =>
        Effect.matchCauseEffect(retryWhileBusy(attempt(connection), patience, restore), {
          onFailure: (cause) => Effect.zipRight(release(connection), Effect.failCause(cause)),
          onSuccess: (result) => Effect.zipRight(release(connection), result)
        })
    ).pipe(withSpan("sql.transaction", { kind: "client" }))
  }

  const transactOn = <A, E, R>(connections: Connections, outer: Use<A, E, R>, inner: Use<A, E, R>) =>
    Effect.withFiberRuntime<A, E | SqlError, R>((fiber) => {
      const scope = scopeOf(fiber)
      return scope === undefined ? outermost(connections, outer) : scope.nest(inner)
    }).pipe(
      withSpan("sql.transaction", { kind: "client" })
    )

  const withTransactionOn = (connections: Connections) =>
  <A, E, R>(
    effect: Effect.Effect<A, E, R>
  ): Effect.Effect<A, E | SqlError, Exclude<R, SqlClient.TransactionConnection>> => {
    // The scope provides it.
    // @effect-diagnostics-next-line unsafeEffectTypeAssertion:off
    const use = inScope(() => effect as Effect.Effect<A, E, Exclude<R, SqlClient.TransactionConnection>>)
    return transactOn(connections, use, use)
  }

  return Effect.map(
    SqlClient.make({ acquirer, compiler, spanAttributes, transactionAcquirer: acquirer }),
    (client) => ({
      sql: Object.assign(client, { withTransaction: withTransactionOn(callerTransactions) }),
      withLiveTransaction: withTransactionOn(liveTransactions),
      transact: (use) => transactOn(internal, use, inScope(use)),
      transactLong: (use) => transactOn(longInternal, use, inScope(use)),
      commit,
      transactionOf: scopeOf,
      currentTransaction: Effect.withFiberRuntime((fiber) => Effect.succeed(scopeOf(fiber))),
      fail: (error) =>
        Effect.sync(() => {
          failure = error
        })
    })
  )
}

/** Work in a transaction. */
type Use<A, E, R> = (scope: TransactionScope) => Effect.Effect<A, E, R>

/** Asks for rows to wait for the outcome, although there are none. */
const commitStep: Step = { statements: [["COMMIT", [], 0]], answer: "rows" }
const rollbackStep: Step = { statements: [["ROLLBACK", [], 0]], answer: "rows" }

/** ROLLBACK fails if SQLite has already ended the transaction by itself, as it does on some errors. */
function* rolledBack(): StatementScript<void> {
  try {
    yield rollbackStep
  } catch (error) {
    if (!(error instanceof SqlError)) throw error
  }
}

/** The same on a connection. */
const rollback = (connection: Connection) => Effect.ignore(connection.execute("ROLLBACK", [], undefined))
