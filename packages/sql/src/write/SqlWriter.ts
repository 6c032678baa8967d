/** The one path of all writes: callers' commands wait in a queue, and all that wait are committed together. */
import {
  ActivityPubSub,
  Command,
  InputLimits,
  isTraced,
  makeClockReport,
  type StorageError,
  type Unit,
  withSpan
} from "@caravel/domain"
import { Tail } from "@caravel/pubsub"
import { SqlError } from "@effect/sql/SqlError"
import { Array, Cause, Effect, Either, Exit, Layer, Option, Schedule } from "effect"
import { Database } from "../database/Database.js"
import { toStorageError } from "../database/StorageErrors.js"
import type { Transaction } from "../database/TransactionScope.js"
import type { Unreadable } from "../schema/Tables.js"
import { longestWait, type Patience } from "../statement/Patience.js"
import { retryWhile } from "../statement/Retry.js"
import * as Program from "../statement/StatementScript.js"
import type { Restore } from "../statement/Turns.js"
import * as Append from "./Append.js"
import type { Entry } from "./Entry.js"
import * as GroupCommit from "./GroupCommit.js"
import type { OutcomeMissing } from "./IdempotencyKeys.js"
import * as Metrics from "./Metrics.js"

/** How often a transaction is run again that a deadlock or a lost connection has ended. */
const whileTransient = Schedule.exponential("5 millis").pipe(
  Schedule.union(Schedule.spaced("250 millis")),
  Schedule.jittered
)

/** The commands over the writer. What it has taken is decided before the layer closes; what waits is interrupted. */
export const layer: Layer.Layer<Command, never, Database | Tail.Tail | ActivityPubSub> = Layer.scoped(
  Command,
  Effect.gen(function*() {
    const database = yield* Database
    const tail = yield* Tail.Tail
    const append = yield* Append.make(tail.seen)
    const failed = toStorageError(database.dialect, "commit")
    const isTransient = (error: SqlError | Unreadable | OutcomeMissing) =>
      error instanceof SqlError && database.dialect.isTransient(error.cause)
    const retried = retryWhile(isTransient, whileTransient)

    const report = makeClockReport()

    const announce = ({ jumps, outcomes, recorded }: Append.Appended) => {
      if (recorded.length > 0) {
        const announced = Effect.map(tail.broadcast(recorded), () => database.committed.unsafeOpen())
        return jumps.length === 0 ? announced : Effect.zipLeft(announced, report(jumps))
      }
      // What is answered a second time may have been committed by another process, just now.
      return outcomes.some(Either.isRight) ? tail.advanceToHead : Effect.void
    }

    /** The tail finds out by itself, too; this is at once. */
    const onceReplaced = (failure: Exit.Exit<unknown, StorageError>) =>
      reasonOf(failure) === "replaced" ? Effect.exit(tail.advanceToHead) : Effect.void

    /** When the storage last made progress: when it has decided on a batch, or others have written. */
    let progressedAt = -Infinity
    /** How the last attempt since then has failed, if any: a command that has waited long enough fails likewise, without trying. */
    let stuck: Exit.Exit<never, StorageError> | undefined
    const progress = () => {
      progressedAt = performance.now()
      stuck = undefined
    }
    const patienceWith = ({ since }: Entry): Patience => ({
      remaining: () => Math.max(since, progressedAt) + longestWait - performance.now()
    })
    const isPatient = (entry: Entry) => patienceWith(entry).remaining() > 0

    /** Commits what has not been withdrawn when it is decided, and tells what that is. */
    const commit = (entries: ReadonlyArray<Entry>, restore: Restore) => {
      // The first has waited for longest.
      const patience = patienceWith(entries[0]!)
      const units = entries.map(({ unit }) => unit)
      let decided = entries
      const remaining = () => {
        decided = entries.filter((entry) => entry.decide())
        return decided.map(({ unit }) => unit)
      }
      const attempt = Effect.suspend(() =>
        database.commit(
          () => append.units(units, remaining),
          ({ recorded }) => recorded.at(-1)?.id,
          patience,
          restore
        )
      )
      return Effect.map(
        retried(
          Effect.tapError(attempt, (error) => {
            if (isTransient(error)) { for (const entry of decided) entry.reopen() }
            return Effect.void
          }),
          patience,
          restore
        ),
        (appended) => ({ appended, decided })
      )
    }

    /**
     * Commits together, announces what was recorded, and answers. Where the database refuses a batch, each unit is tried on its
     * own, so that only the culprit fails. While the storage makes no progress, an entry waits for as long as its patience lasts,
     * with whomever it has to wait.
     */
    const commitBatch = (entries: ReadonlyArray<Entry>, restore: Restore): Effect.Effect<void> =>
      Effect.flatMap(tail.position, (before) => {
        const open = entries.filter(({ isOpen }) => isOpen)
        const [over, patient] = stuck === undefined ? [[], open] : Array.partition(open, isPatient)
        if (stuck !== undefined) { for (const entry of over) entry.settle(stuck) }
        if (patient.length === 0) return Effect.void
        return Effect.matchCauseEffect(commit(patient, restore), {
          onFailure: (cause) => {
            // Nothing was decided: only waiting is interrupted.
            if (Cause.isInterruptedOnly(cause)) return Effect.interrupt
            const failure = Exit.failCause(Cause.map(cause, failed))
            if (Option.exists(Cause.failureOption(cause), isTransient)) {
              stuck = failure
              return Effect.flatMap(tail.position, (position) => {
                if (position > before) progress()
                return commitBatch(patient, restore)
              })
            }
            progress()
            if (patient.length > 1 && !isNobodysFault(failure)) {
              for (const entry of patient) entry.reopen()
              return Effect.forEach(patient, (entry) => commitBatch([entry], restore), { discard: true })
            }
            return Effect.map(onceReplaced(failure), () => {
              for (const entry of patient) entry.settle(failure)
            })
          },
          onSuccess: ({ appended, decided }) => {
            progress()
            return Effect.map(
              // What is committed is, whatever becomes of its announcement.
              Effect.exit(announce(appended)),
              () => decided.forEach((entry, index) => entry.settle(Exit.fromEither(appended.outcomes[index]!)))
            )
          }
        })
      })

    /** A batch with its span, to which those of its commands are linked, and its metrics. */
    const observed: GroupCommit.Commit = (entries, restore) => {
      const commands = entries.reduce((sum, { unit }) => sum + unit.commands.length, 0)
      return Effect.withFiberRuntime<void>((fiber) => {
        const started = performance.now()
        const span = isTraced(fiber) ? fiber.currentSpan : undefined
        if (span !== undefined) entries.forEach((entry) => entry.link(span))
        return Effect.map(commitBatch(entries, restore), () => {
          Metrics.commitSeconds.unsafeUpdate((performance.now() - started) / 1000, [])
          Metrics.batchCommands.unsafeUpdate(commands, [])
          Metrics.queueDepth.unsafeUpdate(queue.waiting(), [])
        })
      }).pipe(withSpan("SqlWriter.batch", { attributes: { "caravel.commands": commands } }))
    }

    const queue = yield* GroupCommit.make(observed, database.dialect.lock === undefined)

    /** From here on the transaction holds the others up. */
    function* appendBounded(unit: Unit) {
      yield* Program.execute(database.holderBounds)
      return yield* append.units([unit])
    }

    const announceAll = Effect.zipRight(tail.advanceToHead, database.committed.open)

    /** Writes the unit in the caller's transaction, and announces it when that has been committed. */
    const join = ({ afterCommit, run, written }: Transaction, unit: Unit) =>
      Effect.matchEffect(
        run(() => appendBounded(unit), ({ jumps, outcomes: [outcome], recorded }) => {
          for (const { id } of recorded) written.push(id)
          // What a savepoint undoes gives its positions back, so less may be committed than was written in it.
          if (Either.isRight(outcome!)) afterCommit.add(announceAll)
          if (jumps.length > 0) afterCommit.add(report(jumps))
        }),
        {
          onFailure: (error) => {
            const failure = Exit.fail(failed(error))
            return Effect.zipRight(onceReplaced(failure), failure)
          },
          onSuccess: ({ outcomes: [outcome] }) => outcome!
        }
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

const reasonOf = (exit: Exit.Exit<unknown, StorageError>) =>
  Exit.match(exit, {
    onSuccess: () => undefined,
    onFailure: (cause) => Option.getOrUndefined(Cause.failureOption(cause))?.reason
  })

/** Whether a batch failed by what would fail each of its units too, or nobody knows whether it did. */
const isNobodysFault = (exit: Exit.Exit<unknown, StorageError>) =>
  ["commitUnknown", "readonly", "replaced"].includes(reasonOf(exit) ?? "")
