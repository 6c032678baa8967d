/** The one path of all writes: callers' commands wait in a queue, and all that wait are committed together. */
import { ActivityPubSub, Command, InputLimits, isTraced, type StorageError, type Unit, withSpan } from "@caravel/domain"
import { Tail } from "@caravel/pubsub"
import { SqlError } from "@effect/sql/SqlError"
import { Cause, Effect, Either, Exit, Layer, Option, Schedule } from "effect"
import * as Append from "./Append.js"
import { Database } from "./Database.js"
import * as GroupCommit from "./GroupCommit.js"
import type { Entry } from "./internal/Entry.js"
import { retryWhile } from "./internal/retryWhile.js"
import * as Metrics from "./Metrics.js"
import type { Transaction } from "./OpenTransaction.js"
import * as Program from "./Program.js"
import type { Unreadable } from "./Rows.js"
import { toStorageError } from "./SqlError.js"

/** For how long a transaction is run again that a deadlock or a lost connection has ended. */
const whileTransient = Schedule.exponential("5 millis").pipe(
  Schedule.union(Schedule.spaced("250 millis")),
  Schedule.jittered,
  Schedule.upTo("5 seconds")
)

/**
 * The commands over the writer. What it has taken is decided before the layer closes; what waits is interrupted.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<Command, never, Database | Tail.Tail | ActivityPubSub> = Layer.scoped(
  Command,
  Effect.gen(function*() {
    const database = yield* Database
    const tail = yield* Tail.Tail
    const append = yield* Append.make
    const failed = toStorageError(database.dialect, "commit")
    const isTransient = (error: SqlError | Unreadable) =>
      error instanceof SqlError && database.dialect.isTransient(error.cause)
    const retried = retryWhile(isTransient, whileTransient)

    const announce = ({ outcomes, recorded }: Append.Appended) =>
      recorded.length > 0
        ? Effect.map(tail.broadcast(recorded), () => database.committed.unsafeOpen())
        // What is answered a second time may have been committed by another process, just now.
        : outcomes.some(Either.isRight)
        ? tail.advanceToHead
        : Effect.void

    const commit = (units: ReadonlyArray<Unit>) =>
      retried(database.commit(() => append.units(units), ({ recorded }) => recorded.at(-1)?.id))

    /**
     * Commits together, announces what was recorded, and answers. Where the database refuses a batch, each unit is tried on its
     * own, so that only the culprit fails.
     */
    const commitBatch = (entries: ReadonlyArray<Entry>): Effect.Effect<void> =>
      Effect.matchCauseEffect(commit(entries.map(({ unit }) => unit)), {
        onFailure: (cause) => {
          const failure = Exit.failCause(Cause.map(cause, failed))
          if (entries.length > 1 && !isNobodysFault(failure)) {
            return Effect.forEach(entries, (entry) => commitBatch([entry]), { discard: true })
          }
          for (const entry of entries) entry.settle(failure)
          return Effect.void
        },
        onSuccess: (appended) =>
          Effect.map(
            // What is committed is, whatever becomes of its announcement.
            Effect.exit(announce(appended)),
            () => entries.forEach((entry, index) => entry.settle(Exit.fromEither(appended.outcomes[index]!)))
          )
      })

    /** A batch with its span, to which those of its commands are linked, and its metrics. */
    const observed = (entries: ReadonlyArray<Entry>): Effect.Effect<void> => {
      const commands = entries.reduce((sum, { unit }) => sum + unit.commands.length, 0)
      return Effect.withFiberRuntime<void>((fiber) => {
        const started = performance.now()
        const span = isTraced(fiber) ? fiber.currentSpan : undefined
        if (span !== undefined) entries.forEach((entry) => entry.link(span))
        return Effect.map(commitBatch(entries), () => {
          Metrics.commitSeconds.unsafeUpdate((performance.now() - started) / 1000, [])
          Metrics.batchCommands.unsafeUpdate(commands, [])
          Metrics.queueDepth.unsafeUpdate(queue.waiting(), [])
        })
      }).pipe(withSpan("SqlWriter.batch", { attributes: { "caravel.commands": commands } }))
    }

    const queue = yield* GroupCommit.make(observed)

    const announceAll = Effect.zipRight(tail.advanceToHead, database.committed.open)

    /** Writes the unit in the caller's transaction, and announces it when that has been committed. */
    const join = (transaction: Transaction, unit: Unit) =>
      database.transact(({ afterCommit, connection, written }) =>
        Effect.map(
          Effect.flatten(Program.run(connection, append.units([unit]))),
          ({ outcomes: [outcome], recorded }) => {
            for (const { id } of recorded) written.push(id)
            // What a savepoint undoes gives its positions back, so less may be committed than was written in it.
            if (Either.isRight(outcome!)) afterCommit.add(announceAll)
            return outcome!
          }
        )
      ).pipe(
        transaction.lock.withPermits(1),
        Effect.mapError(failed),
        Effect.flatten
      )

    return Command.make({
      notify: yield* ActivityPubSub,
      limits: yield* InputLimits,
      append: (unit) =>
        Effect.flatMap(
          database.current,
          (transaction) => transaction === undefined ? queue.execute(unit) : join(transaction, unit)
        )
    })
  })
)

/** Whether a batch failed by what would fail each of its units too, or as nobody knows whether it did. */
const isNobodysFault = (exit: Exit.Exit<unknown, StorageError>) =>
  Exit.match(exit, {
    onSuccess: () => false,
    onFailure: (cause) =>
      Option.exists(
        Cause.failureOption(cause),
        ({ reason }) => reason === "busy" || reason === "unavailable" || reason === "commitUnknown"
      )
  })
