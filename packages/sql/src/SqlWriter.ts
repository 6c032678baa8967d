/** The one path of all writes: callers' commands wait in a queue, and all that wait are committed together. */
import {
  ActivityPubSub,
  Command,
  type Position,
  type RecordedEvent,
  type Refusal,
  type StorageError
} from "@caravel/domain"
import { Tail } from "@caravel/pubsub"
import { Cause, Chunk, Deferred, Effect, Either, Exit, FiberId, Layer, Option, Queue } from "effect"
import * as Append from "./Append.js"
import { Database } from "./Database.js"
import { toStorageError } from "./SqlError.js"
import type { Transaction } from "./Transaction.js"

/** Beyond this many, callers wait before they are queued. */
const queueCapacity = 1024

/** How many units are committed together at most. */
const batchSize = 256

type Answer = Deferred.Deferred<ReadonlyArray<RecordedEvent>, Refusal | StorageError>

interface Entry {
  readonly unit: Append.Unit
  readonly answer: Answer
}

/**
 * The commands over the writer. What it has taken is decided before the layer closes; what waits is interrupted.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<Command, never, Database | Tail.Tail | ActivityPubSub> = Layer.scoped(
  Command,
  Effect.gen(function*() {
    const { current, dialect, withTransaction } = yield* Database
    const tail = yield* Tail.Tail
    const append = yield* Append.make

    /** Commits the units together, or writes them in the transaction of this database that the fiber is in. */
    const commit = (units: ReadonlyArray<Append.Unit>, announce: (last: Position) => Effect.Effect<void>) =>
      Effect.gen(function*() {
        const outcomes = yield* append(units)
        const last = outcomes.flatMap(Either.getOrElse(() => [])).at(-1)
        const transaction = yield* current
        if (last !== undefined) transaction?.afterCommit.add(announce(last.position))
        return outcomes
      }).pipe(
        withTransaction,
        Effect.catchTag("SqlError", (error) => Effect.fail(toStorageError(dialect, "commit")(error)))
      )

    /** Where the database refuses a batch, each unit is tried on its own, so that only the culprit fails. */
    const commitBatch = (entries: ReadonlyArray<Entry>): Effect.Effect<void> =>
      Effect.flatMap(
        Effect.exit(commit(entries.map(({ unit }) => unit), tail.advance)),
        (exit) =>
          Exit.isFailure(exit) && entries.length > 1 && !isBusy(exit)
            ? Effect.forEach(entries, (entry) => commitBatch([entry]), { discard: true })
            : Effect.forEach(entries, ({ answer }, index) =>
              Deferred.done(
                answer,
                Exit.flatMap(exit, (outcomes) => Exit.fromEither(outcomes[index]!))
              ), {
              discard: true
            })
      )

    // An entry leaves this set once: the writer takes it and will answer, its caller withdraws it, or the layer closes.
    const waiting = new Set<Entry>()

    const queue = yield* Effect.acquireRelease(Queue.bounded<Entry>(queueCapacity), (queue) =>
      Effect.zipRight(
        Queue.shutdown(queue),
        Effect.forEach(waiting, ({ answer }) => Deferred.interrupt(answer), { discard: true })
      ))

    yield* Effect.uninterruptibleMask((restore) =>
      Effect.flatMap(restore(Queue.takeBetween(queue, 1, batchSize)), (entries) => {
        const taken = Chunk.toReadonlyArray(entries).filter((entry) => waiting.delete(entry))
        return taken.length === 0 ? Effect.void : commitBatch(taken)
      })
    ).pipe(
      // SQLite is synchronous: between batches, others get their turn.
      Effect.zipRight(Effect.yieldNow()),
      Effect.forever,
      Effect.forkScoped
    )

    const enqueue = (unit: Append.Unit) =>
      Effect.suspend(() => {
        const entry: Entry = { unit, answer: Deferred.unsafeMake(FiberId.none) }
        waiting.add(entry)
        return Queue.offer(queue, entry).pipe(
          Effect.zipRight(Deferred.await(entry.answer)),
          Effect.onInterrupt(() => waiting.delete(entry) ? Effect.void : Effect.exit(Deferred.await(entry.answer)))
        )
      })

    // What a savepoint undoes gives its positions back, so the caller's transaction may commit less than was written in it.
    const join = (transaction: Transaction, unit: Append.Unit) =>
      Effect.flatMap(
        transaction.lock.withPermits(1)(commit([unit], () => tail.advanceToHead)),
        ([outcome]) => outcome!
      )

    return Command.make({
      notify: yield* ActivityPubSub,
      append: (unit) =>
        Effect.flatMap(current, (transaction) => transaction === undefined ? enqueue(unit) : join(transaction, unit))
    })
  })
)

const isBusy = (exit: Exit.Exit<unknown, StorageError>) =>
  Exit.match(exit, {
    onSuccess: () => false,
    onFailure: (cause) => Option.exists(Cause.failureOption(cause), ({ reason }) => reason === "busy")
  })
