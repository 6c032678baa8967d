/** Transactions from BEGIN to COMMIT or ROLLBACK. Only this file begins, commits and rolls back transactions. */
import { withSpan } from "@caravel/domain/adapter"
import { SqlError } from "@effect/sql/SqlError"
import { Effect, Either, Function } from "effect"
import type { Dialect } from "../statement/Dialect.js"
import type { Restore } from "../statement/Mutex.js"
import * as Patience from "../statement/Patience.js"
import {
  type AnsweringConnection,
  execute,
  run,
  type StatementScript,
  type Step
} from "../statement/StatementScript.js"
import type { Statement } from "../statement/Table.js"
import { OpenTransaction } from "./OpenTransaction.js"
import { TransactionScope } from "./TransactionScope.js"

/** How transactions acquire connections, and how they begin on them. */
export interface Connections {
  /** Acquires a connection for exclusive use, uninterruptibly; `restore` makes the wait interruptible. */
  readonly acquire: (restore: Restore, patience: Patience.Patience) => Effect.Effect<AnsweringConnection, SqlError>
  readonly release: (connection: AnsweringConnection) => void
  /** The statements that begin a transaction. If one fails, nothing is written. */
  readonly begin: (patience: Patience.Patience) => ReadonlyArray<Statement>
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

/** What all transactions of a client share. */
export interface Common {
  readonly dialect: Dialect
  /** Runs right after BEGIN. If it fails, nothing is written. */
  readonly afterBegin?: () => StatementScript<void>
  /** The error with which every later transaction fails, if any. */
  readonly failure: () => SqlError | undefined
}

/** Work in a transaction. */
export type Use<A, E, R> = (scope: TransactionScope) => Effect.Effect<A, E, R>

/** Runs a script in a transaction of its own. See `TransactionalClient`. */
export type TransactScript = <A, E>(
  script: () => StatementScript<Either.Either<A, E>>,
  written: (result: A) => string | undefined,
  patience: Patience.Patience,
  restore: Restore
) => Effect.Effect<A, E | SqlError>

/** Runs scripts, each in a transaction of its own. */
export const makeTransactScript = (
  common: Common,
  { acquire, begin, release, resolveUnknownCommit, retryWhileBusy }: Connections
): TransactScript =>
<A, E>(
  script: () => StatementScript<Either.Either<A, E>>,
  written: (result: A) => string | undefined,
  patience: Patience.Patience,
  restore: Restore
) => {
  const attempt = (connection: AnsweringConnection) =>
    Effect.suspend((): Effect.Effect<Either.Either<A, E>, SqlError> => {
      const failure = common.failure()
      if (failure !== undefined) return Effect.fail(failure)
      let id: string | undefined
      let result: Either.Either<A, E>
      const onDecided = (decided: Either.Either<A, E>) => {
        result = decided
        if (Either.isRight(decided)) id = written(decided.right)
      }
      const inTransaction = transactionScript(beginning(common, begin(patience)), script(), onDecided)
      return Effect.catchAll(
        run(common.dialect.withNativePlaceholders(connection), inTransaction),
        // If nothing was written, it makes no difference whether it was committed.
        (error) => id === undefined ? Effect.fail(error) : Effect.map(resolveUnknownCommit([id], error), () => result)
      )
    })
  return Effect.flatMap(
    acquire(restore, patience),
    (connection) =>
      Effect.matchCauseEffect(retryWhileBusy(attempt(connection), patience, restore), {
        onFailure: (cause) => {
          release(connection)
          return Effect.failCause(cause)
        },
        onSuccess: (result) => {
          release(connection)
          return result
        }
      })
  ).pipe(withSpan("sql.transaction", { kind: "client", attributes: common.dialect.spanAttributes }))
}

/**
 * BEGIN, a script and COMMIT, as one script. ROLLBACK replaces COMMIT if the script results in an error or any
 * statement fails, even BEGIN.
 */
function* transactionScript<A, E>(
  beginning: StatementScript<void>,
  script: StatementScript<Either.Either<A, E>>,
  onDecided: (decided: Either.Either<A, E>) => void
): StatementScript<Either.Either<A, E>> {
  let isCommitted = false
  try {
    yield* beginning
    const decided = yield* script
    onDecided(decided)
    if (Either.isRight(decided)) {
      yield commitStep
      isCommitted = true
    }
    return decided
  } finally {
    if (!isCommitted) yield* rollback()
  }
}

function* beginning({ afterBegin }: Common, begin: ReadonlyArray<Statement>): StatementScript<void> {
  yield* execute(begin)
  if (afterBegin !== undefined) yield* afterBegin()
}

/**
 * Runs what `use` returns in a new transaction. The connection is released before the effects after the commit run.
 */
export const outermost = <A, E, R>(
  common: Common,
  { acquire, begin, release, resolveUnknownCommit, retryWhileBusy }: Connections,
  use: Use<A, E, R>
): Effect.Effect<A, E | SqlError, R> =>
  Effect.uninterruptibleMask((restore) => {
    const { dialect, failure } = common
    const patience = Patience.make()
    return Effect.flatMap(acquire(restore, patience), (connection) => {
      const transaction = new OpenTransaction(dialect, connection)
      const scope = new TransactionScope(transaction)
      const begun = Effect.suspend(() => {
        const error = failure()
        if (error !== undefined) return Effect.fail(error)
        return retryWhileBusy(
          Effect.suspend(() => run(dialect.withNativePlaceholders(connection), beginning(common, begin(patience)))),
          patience
        )
      })
      return restore(Effect.zipRight(begun, use(scope))).pipe(
        Effect.zipLeft(scope.close(restore)),
        Effect.zipLeft(Effect.catchAll(
          connection.executeRaw("COMMIT", []),
          (error) => resolveUnknownCommit(transaction.written, error)
        )),
        Effect.tapErrorCause(() => {
          scope.abort()
          return Effect.zipRight(transaction.idle, Effect.ignore(run(connection, rollback())))
        }),
        Effect.exit,
        Effect.tap(() => Effect.sync(() => release(connection))),
        Effect.flatten,
        Effect.tap(() => each(scope.afterCommit, Function.identity))
      )
    })
  })

/**
 * Runs an effect for each item, in order. `Effect.forEach` would look up the fiber's settings first: 1 µs for each
 * command.
 */
const each = <A, E, R>(
  items: Iterable<A>,
  use: (item: A) => Effect.Effect<unknown, E, R>
): Effect.Effect<void, E, R> =>
  Effect.suspend(() => {
    const iterator = items[Symbol.iterator]()
    let next = iterator.next()
    return Effect.whileLoop({
      while: () => next.done !== true,
      body: () => use(next.value as A),
      step: () => {
        next = iterator.next()
      }
    })
  })

// These ask for rows to wait for the outcome, although there are none.
const commitStep: Step = { statements: [["COMMIT", []]], answer: "rows" }
const rollbackStep: Step = { statements: [["ROLLBACK", []]], answer: "rows" }

/** ROLLBACK fails if SQLite has already ended the transaction by itself, as it does on some errors. */
function* rollback(): StatementScript<void> {
  try {
    yield rollbackStep
  } catch (error) {
    if (!(error instanceof SqlError)) throw error
  }
}
