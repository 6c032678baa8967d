/** The one path of all writes: callers' commands wait in a queue, and all that wait are committed together. */
import {
  ActivityPubSub,
  Command,
  type IdempotencyConflict,
  isTraced,
  type RecordedEvent,
  type Refusal,
  type StorageError,
  type Unit,
  withSpan
} from "@caravel/domain"
import { Tail } from "@caravel/pubsub"
import { Cause, Chunk, Effect, Either, Exit, FiberId, Layer, Mailbox, Option } from "effect"
import * as Append from "./Append.js"
import { Database } from "./Database.js"
import { each } from "./internal/each.js"
import { Entry } from "./internal/Entry.js"
import * as GiveWay from "./internal/giveWay.js"
import * as Metrics from "./Metrics.js"
import * as Program from "./Program.js"
import { toStorageError } from "./SqlError.js"
import type { Transaction } from "./Transaction.js"

/** Beyond this many, callers wait before they are queued. */
const queueCapacity = 1024

/** How many commands are committed together at most, but for a unit of more: it is committed alone. */
const batchCommands = 256

/** How many characters of commands are committed together at most, with the same exception. */
const batchCharacters = 1_000_000

/**
 * The commands over the writer. What it has taken is decided before the layer closes; what waits is interrupted.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<Command, never, Database | Tail.Tail | ActivityPubSub> = Layer.scoped(
  Command,
  Effect.gen(function*() {
    const { current, dialect, transact } = yield* Database
    const tail = yield* Tail.Tail
    const append = yield* Append.make

    /** Commits the units together, or writes them in the transaction of this database that the fiber is in. */
    const commit = (units: ReadonlyArray<Unit>, announce: typeof tail.broadcast) =>
      transact(({ afterCommit, connection }) =>
        Effect.map(Effect.flatten(Program.run(connection, append(units))), ({ outcomes, recorded }) => {
          if (recorded.length > 0) afterCommit.add(announce(recorded))
          // What is answered a second time may have been committed by another process, just now.
          else if (outcomes.some(Either.isRight)) afterCommit.add(tail.advanceToHead)
          return outcomes
        })
      ).pipe(
        Effect.mapError(toStorageError(dialect, "commit"))
      )

    /** Where the database refuses a batch, each unit is tried on its own, so that only the culprit fails. */
    const commitBatch = (entries: ReadonlyArray<Entry>): Effect.Effect<void> =>
      Effect.flatMap(Effect.exit(commit(entries.map(({ unit }) => unit), tail.broadcast)), (exit) => {
        if (Exit.isFailure(exit) && entries.length > 1 && !isBusy(exit)) {
          return Effect.forEach(entries, (entry) => commitBatch([entry]), { discard: true })
        }
        entries.forEach((entry, index) =>
          entry.settle(Exit.flatMap(exit, (outcomes) => Exit.fromEither(outcomes[index]!)))
        )
        return Effect.void
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
          Metrics.queueDepth.unsafeUpdate(waiting.size, [])
        })
      }).pipe(withSpan("SqlWriter.batch", { attributes: { "caravel.commands": commands } }))
    }

    // An entry leaves this set once: the writer takes it and will answer, its caller withdraws it, or the layer closes.
    const waiting = new Set<Entry>()

    const queue = yield* Effect.acquireRelease(
      Mailbox.make<Entry>(queueCapacity),
      (queue) =>
        Effect.zipRight(
          queue.shutdown,
          Effect.sync(() => {
            for (const entry of waiting) entry.settle(Exit.interrupt(FiberId.none))
          })
        )
    )

    const giveWay = yield* GiveWay.make
    yield* Effect.flatMap(
      queue.takeAll,
      ([entries]) =>
        each(batches(Chunk.toReadonlyArray(entries)), (batch) =>
          Effect.uninterruptible(Effect.suspend(() => {
            const taken = batch.filter((entry) => waiting.delete(entry))
            return taken.length === 0 ? Effect.void : observed(taken)
          })).pipe(Effect.zipRight(giveWay)))
    ).pipe(
      Effect.forever,
      Effect.forkScoped
    )

    const enqueue = (unit: Unit) =>
      Effect.withFiberRuntime<ReadonlyArray<RecordedEvent>, Refusal | IdempotencyConflict | StorageError>((caller) => {
        const entry = new Entry(unit, caller.currentSpan)
        waiting.add(entry)
        return Effect.zipRight(queue.offer(entry), entry.settled).pipe(
          Effect.onInterrupt(() => waiting.delete(entry) ? Effect.void : Effect.exit(entry.settled))
        )
      })

    // What a savepoint undoes gives its positions back, so the caller's transaction may commit less than was written in it.
    const join = (transaction: Transaction, unit: Unit) =>
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

/** Splits what waits, in order, into what is committed together. */
function* batches(entries: ReadonlyArray<Entry>) {
  let batch: Array<Entry> = []
  let commands = 0
  let characters = 0
  for (const entry of entries) {
    const size = Append.characters(entry.unit)
    const count = entry.unit.commands.length
    if (batch.length > 0 && (commands + count > batchCommands || characters + size > batchCharacters)) {
      yield batch
      batch = []
      commands = 0
      characters = 0
    }
    batch.push(entry)
    commands += count
    characters += size
  }
  if (batch.length > 0) yield batch
}
