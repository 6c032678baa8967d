/**
 * A client whose transactions can write from the start, report a failed COMMIT, nest by savepoints, refuse statements
 * after their end, and run effects after the outermost commit.
 */
import { withSpan } from "@caravel/domain/adapter"
import type { Reactivity } from "@effect/experimental/Reactivity"
import * as SqlClient from "@effect/sql/SqlClient"
import type { Connection } from "@effect/sql/SqlConnection"
import type { SqlError } from "@effect/sql/SqlError"
import type { Compiler } from "@effect/sql/Statement"
import { Context, Effect, type Fiber, Option, type Scope } from "effect"
import {
  type Common,
  type Connections,
  makeTransactScript,
  outermost,
  type TransactScript,
  type Use
} from "./Transaction.js"
import type { Transaction, TransactionScope } from "./TransactionScope.js"

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
  readonly transactScript: TransactScript
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

/** The connections for plain statements and for transactions, which may be the same. */
export interface Options extends Omit<Common, "failure"> {
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
  readonly spanAttributes: ReadonlyArray<readonly [string, unknown]>
}

/** A client over these connections. */
export const make = (options: Options): Effect.Effect<TransactionalClient, never, Reactivity> => {
  const { compiler, spanAttributes } = options
  let failure: SqlError | undefined
  const common: Common = { ...options, failure: () => failure }
  const usable = Effect.suspend(() => failure === undefined ? Effect.void : Effect.fail(failure))
  const acquirer = Effect.zipLeft(options.callerStatements, usable)
  const { inScope, scopeOf } = makeScopes()

  const transactOn = <A, E, R>(connections: Connections, outer: Use<A, E, R>, inner: Use<A, E, R>) =>
    Effect.withFiberRuntime<A, E | SqlError, R>((fiber) => {
      const scope = scopeOf(fiber)
      return scope === undefined ? outermost(common, connections, outer) : scope.nest(inner)
    }).pipe(
      withSpan("sql.transaction", { kind: "client", attributes: options.dialect.spanAttributes })
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
      sql: Object.assign(client, { withTransaction: withTransactionOn(options.callerTransactions) }),
      withLiveTransaction: withTransactionOn(options.liveTransactions),
      transact: (use) => transactOn(options.internal, use, inScope(use)),
      transactLong: (use) => transactOn(options.longInternal, use, inScope(use)),
      transactScript: makeTransactScript(common, options.commandWriter),
      transactionOf: scopeOf,
      currentTransaction: Effect.withFiberRuntime((fiber) => Effect.succeed(scopeOf(fiber))),
      fail: (error) =>
        Effect.sync(() => {
          failure = error
        })
    })
  )
}

/** The scopes of a client's transactions, by the connections that `@effect/sql` finds in a fiber's context. */
const makeScopes = () => {
  const scopes = new WeakMap<Connection, TransactionScope>()
  return {
    /** The scope that a fiber is in. */
    scopeOf: (fiber: Fiber.RuntimeFiber<unknown, unknown>): TransactionScope | undefined => {
      const context = Context.getOption(fiber.currentContext, SqlClient.TransactionConnection)
      return Option.isSome(context) ? scopes.get(context.value[0]) : undefined
    },

    /** Runs what `use` returns with its statements in this scope. */
    inScope: <A, E, R>(use: Use<A, E, R>) => (scope: TransactionScope): Effect.Effect<A, E, R> => {
      scopes.set(scope.callers, scope)
      return Effect.mapInputContext(
        use(scope),
        (context: Context.Context<R>) =>
          Context.add(context, SqlClient.TransactionConnection, [scope.callers, scope.depth])
      )
    }
  }
}
