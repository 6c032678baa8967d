/** The scopes of a transaction: the transaction itself, and the savepoints in it. */
import { SqlError } from "@effect/sql/SqlError"
import { Effect, Either, Exit } from "effect"
import { Mutex, type Restore } from "../statement/Mutex.js"
import {
  type AnsweringConnection,
  execute,
  run,
  runUntilLastWait,
  type StatementScript
} from "../statement/StatementScript.js"
import type { Statement } from "../statement/Table.js"
import { beforeEach, internalConnection, type OpenTransaction, wrap, wrapCallers } from "./OpenTransaction.js"

/** How long a nested transaction may make others of the same transaction wait, in milliseconds. */
const longestNestedHold = 5_000

/** An open transaction, or a savepoint in one. */
export interface Transaction {
  /** Runs one statement at a time, and none while a nested transaction is open. */
  readonly connection: AnsweringConnection
  /**
   * The ids of the events written in it. They are used to find out whether it was committed, if the answer to COMMIT is
   * lost.
   */
  readonly written: Array<string>
  /**
   * Effects that run in order, each once, after the outermost commit: uninterruptibly and outside the transaction. Those
   * of a savepoint that is rolled back are dropped.
   */
  readonly afterCommit: Set<Effect.Effect<void>>
  /** Whether it refuses further statements. */
  readonly hasEnded: boolean
  /**
   * Runs a script in a savepoint, exclusively in this scope: all or nothing. `onSuccess` runs last; the transaction may
   * be committed right after it.
   */
  readonly run: <A, E>(
    script: () => StatementScript<Either.Either<A, E>>,
    onSuccess: (result: A) => void
  ) => Effect.Effect<A, E | SqlError>
}

/**
 * A scope has one mutex. A statement or script holds it while it runs, a nested transaction for its whole life, and the
 * end of the scope takes it last. A nested transaction that makes others wait for longer than `longestNestedHold`
 * is rolled back, as it may be waiting for them.
 */
export class TransactionScope implements Transaction {
  readonly depth: number
  /** For callers' statements. */
  readonly callers: AnsweringConnection
  readonly written: Array<string>
  readonly afterCommit = new Set<Effect.Effect<void>>()
  private readonly transaction: OpenTransaction
  /** The number of events written before it. */
  private readonly before: number
  private readonly mutex = new Mutex()
  /** Whether it refuses new statements. Those that already wait for the mutex still run. */
  private isClosed = false
  /** The error with which it was stopped. Its work is rolled back. */
  private aborted: SqlError | undefined
  /** Why it can only be rolled back. */
  private broken: SqlError | undefined
  /** The nested transaction that holds the mutex. */
  private nested: TransactionScope | undefined
  private timer: ReturnType<typeof setTimeout> | undefined
  /** Whether a nested transaction has lost the mutex: the next holder rolls it back first. */
  private isAbandoned = false
  private ownConnection: AnsweringConnection | undefined

  constructor(transaction: OpenTransaction, depth = 0) {
    this.transaction = transaction
    this.depth = depth
    this.written = transaction.written
    this.before = transaction.written.length
    const { answer, send } = transaction.connection
    const several = send ??
      (answer &&
        ((statements: ReadonlyArray<Statement>) => Effect.suspend(() => answer({ statements, answer: "rows" }))))
    this.callers = {
      ...wrapCallers(transaction.connection, (statement) => this.exclusively(statement)),
      ...(several && { send: (statements) => this.exclusively(several(statements)) })
    }
  }

  get connection(): AnsweringConnection {
    return internalConnection(this.transaction.dialect, this.callers)
  }

  get hasEnded(): boolean {
    return this.isClosed || this.aborted !== undefined
  }

  /** Why it cannot succeed, whatever the outcome of its open statements and nested transaction. */
  private get failure(): SqlError | undefined {
    return this.aborted ?? this.broken ?? this.transaction.failure
  }

  readonly run: Transaction["run"] = <A, E>(
    script: () => StatementScript<Either.Either<A, E>>,
    onSuccess: (result: A) => void
  ): Effect.Effect<A, E | SqlError> =>
    Effect.uninterruptibleMask((restore) =>
      Effect.flatMap(this.enter(restore), () => {
        let isBegun = false
        const own = beforeEach(this.own, () => isBegun = true)
        const failed = (failure: Effect.Effect<never, E | SqlError>) =>
          Effect.zipRight(isBegun ? this.undo : Effect.void, Effect.suspend(() => this.releaseWith(failure)))
        return Effect.matchCauseEffect(restore(runUntilLastWait(own, this.afterSavepoint(script()))), {
          onFailure: (cause) => failed(Effect.failCause(cause)),
          onSuccess: ({ result, unsent }): Effect.Effect<A, E | SqlError> => {
            if (Either.isLeft(result)) return failed(Effect.fail(result.left))
            // Once RELEASE is sent, the script can no longer be undone alone.
            return Effect.matchCauseEffect(run(own, execute([...unsent, ...this.statements("RELEASE")])), {
              onFailure: (cause) => failed(Effect.failCause(cause)),
              onSuccess: () => {
                onSuccess(result.right)
                return this.releaseWith(Effect.succeed(result.right))
              }
            })
          }
        })
      })
    )

  /** Runs what `use` returns in a savepoint. */
  nest<A, E, R>(use: (scope: TransactionScope) => Effect.Effect<A, E, R>): Effect.Effect<A, E | SqlError, R> {
    return Effect.uninterruptibleMask((restore) =>
      Effect.flatMap(this.enter(restore), () =>
        Effect.matchCauseEffect(this.script("SAVEPOINT"), {
          onFailure: (cause) => this.releaseWith(Effect.failCause(cause)),
          onSuccess: () => this.within(use, restore)
        }))
    )
  }

  /** Refuses new statements and waits for open ones. Fails if the scope cannot succeed. */
  close(restore: Restore): Effect.Effect<void, SqlError> {
    return Effect.suspend(() => {
      this.isClosed = true
      return Effect.zipRight(
        this.acquire(restore),
        Effect.suspend(() => this.failure === undefined ? Effect.void : Effect.fail(this.failure))
      )
    })
  }

  /** Stops this scope and the scopes nested in it: no more statements run in them. */
  abort(error = ended): void {
    this.aborted = error
    this.unlimit()
    this.mutex.dismiss()
    this.nested?.abort(error)
  }

  private within<A, E, R>(
    use: (scope: TransactionScope) => Effect.Effect<A, E, R>,
    restore: Restore
  ): Effect.Effect<A, E | SqlError, R> {
    // The scope has ended while the savepoint was created.
    if (this.aborted !== undefined) return Effect.fail(this.aborted)
    const nested = new TransactionScope(this.transaction, this.depth + 1)
    this.nested = nested
    if (this.mutex.isContended) this.limit()
    return restore(use(nested)).pipe(
      Effect.zipLeft(nested.close(restore)),
      Effect.exit,
      Effect.flatMap((exit) => {
        // The nested transaction has lost the mutex, or the scope around it has ended.
        if (nested.aborted !== undefined) return Exit.zipRight(exit, Exit.fail(nested.aborted))
        this.nested = undefined
        this.unlimit()
        const released = Exit.isFailure(exit) ? exit : Effect.zipRight(this.script("RELEASE"), exit)
        return Effect.matchCauseEffect(released, {
          onFailure: (cause) => {
            nested.abort()
            this.written.length = nested.before
            return Effect.zipRight(this.undo, Effect.suspend(() => this.releaseWith(Effect.failCause(cause))))
          },
          onSuccess: (result) => {
            for (const effect of nested.afterCommit) this.afterCommit.add(effect)
            return this.releaseWith(Effect.succeed(result))
          }
        })
      })
    )
  }

  private *afterSavepoint<A>(script: StatementScript<A>): StatementScript<A> {
    yield* execute(this.statements("SAVEPOINT"))
    return yield* script
  }

  /** Rolls back to the last savepoint. If that fails, the transaction must not be committed. */
  private readonly undo: Effect.Effect<void> = Effect.suspend(() =>
    Effect.zipRight(this.transaction.idle, this.script("ROLLBACK TO", "RELEASE")).pipe(
      Effect.catchAll((error) =>
        Effect.sync(() => {
          this.broken ??= error
        })
      )
    )
  )

  private script(...verbs: ReadonlyArray<string>): Effect.Effect<void, SqlError> {
    return run(this.own, execute(this.statements(...verbs)))
  }

  /** Each scope has one savepoint at a time. */
  private statements(...verbs: ReadonlyArray<string>): ReadonlyArray<Statement> {
    return verbs.map((verb) => [`${verb} caravel_${this.depth}`, []])
  }

  private exclusively<A>(statement: Effect.Effect<A, SqlError>): Effect.Effect<A, SqlError> {
    return Effect.uninterruptibleMask((restore) =>
      Effect.flatMap(this.enter(restore), () =>
        Effect.matchCauseEffect(restore(this.guarded(statement)), {
          onFailure: (cause) => this.releaseWith(Effect.failCause(cause)),
          onSuccess: (result) => this.releaseWith(Effect.succeed(result))
        }))
    )
  }

  private guarded<A>(statement: Effect.Effect<A, SqlError>): Effect.Effect<A, SqlError> {
    return this.transaction.guard(statement, this.refusal)
  }

  private readonly refusal = () => this.failure

  /** Takes the mutex, unless the scope has ended. */
  private enter(restore: Restore): Effect.Effect<void, SqlError> {
    return Effect.suspend(() => {
      const failure = this.failure ?? (this.isClosed ? ended : undefined)
      return failure === undefined ? this.acquire(restore) : Effect.fail(failure)
    })
  }

  private acquire(restore: Restore): Effect.Effect<void, SqlError> {
    if (this.mutex.tryAcquire()) return this.isAbandoned ? this.undoAbandoned : Effect.void
    this.limit()
    return Effect.flatMap(this.mutex.acquire(restore), () =>
      this.aborted !== undefined
        ? Effect.fail(this.aborted)
        : this.isAbandoned
        ? this.undoAbandoned
        : Effect.void)
  }

  private releaseWith<A, E>(result: Effect.Effect<A, E>): Effect.Effect<A, E> {
    this.mutex.release()
    return result
  }

  /** Takes the mutex away from a nested transaction that holds it for too long. */
  private limit(): void {
    if (this.nested === undefined) return
    // @effect-diagnostics-next-line globalTimers:off
    this.timer ??= setTimeout(() => {
      this.timer = undefined
      const { nested } = this
      if (nested === undefined || !this.mutex.isContended) return
      this.nested = undefined
      nested.abort(kept)
      this.written.length = nested.before
      this.isAbandoned = true
      this.mutex.release()
    }, longestNestedHold)
  }

  private unlimit(): void {
    clearTimeout(this.timer)
    this.timer = undefined
  }

  private readonly undoAbandoned = Effect.suspend(() => {
    this.isAbandoned = false
    return this.undo
  })

  /** The connection for the holder of the mutex. */
  private get own(): AnsweringConnection {
    if (this.ownConnection === undefined) {
      const { connection, dialect } = this.transaction
      const { answer, send } = connection
      this.ownConnection = dialect.withNativePlaceholders({
        ...wrap(connection, (statement) => this.guarded(statement)),
        ...(answer && { answer: (request) => this.transaction.guardAnswer(() => answer(request), this.refusal) }),
        ...(send && { send: (statements) => this.guarded(send(statements)) })
      })
    }
    return this.ownConnection
  }
}

const ended = new SqlError({
  message: "The transaction has ended",
  cause: new Error("a fiber outlived the transaction it was forked in; fork it outside, or await it inside")
})

const kept = new SqlError({
  message: "The nested transaction was rolled back: it made others of its transaction wait for " +
    `${longestNestedHold / 1000} seconds`,
  cause: new Error("if it waits for a fiber that uses the same transaction, neither can continue; wait outside")
})
