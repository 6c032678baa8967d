/** The only write path: callers' submissions are queued, and committed in batches. */
import {
  ActivityPubSub,
  Command,
  type IdempotencyConflict,
  InputLimits,
  type RecordedEvent,
  type Refusal,
  type StorageError
} from "@caravel/domain"
import { isTraced, makeClockReport, type Submission, withSpan } from "@caravel/domain/adapter"
import { Backoff, Tail, Waiting } from "@caravel/pubsub"
import { SqlError } from "@effect/sql/SqlError"
import { Cause, Effect, Either, Exit, Layer, Option } from "effect"
import { Database } from "../database/Database.js"
import { toStorageError } from "../database/StorageErrors.js"
import type { Transaction } from "../database/TransactionScope.js"
import type { Unreadable } from "../schema/Tables.js"
import { longestWait, type Patience } from "../statement/Patience.js"
import * as Program from "../statement/StatementScript.js"
import type { Restore } from "../statement/Turns.js"
import * as Append from "./Append.js"
import type { Entry as QueueEntry } from "./Entry.js"
import * as GroupCommit from "./GroupCommit.js"
import type { OutcomeMissing } from "./IdempotencyKeys.js"
import * as Metrics from "./Metrics.js"

type Entry = QueueEntry<Submission, ReadonlyArray<RecordedEvent>, Refusal | IdempotencyConflict | StorageError>

/**
 * At most this many commands, or characters of commands, are committed together, unless one submission alone has more.
 */
const batchCommands = 256
const batchCharacters = 1_000_000

const weigh = ({ commands }: Submission): number => {
  let characters = 0
  for (const [command] of commands) {
    for (const value of Object.values(command)) if (typeof value === "string") characters += value.length
  }
  return Math.max(commands.length / batchCommands, characters / batchCharacters)
}

/**
 * The `Command` service, over the writer. Before the layer closes, submissions that the writer has taken are decided,
 * and queued ones are interrupted.
 */
export const layer: Layer.Layer<Command, never, Database | Tail.Tail | ActivityPubSub> = Layer.scoped(
  Command,
  Effect.gen(function*() {
    const database = yield* Database
    const tail = yield* Tail.Tail
    const append = yield* Append.make(tail.seen)
    const failed = toStorageError(database.dialect, "commit")
    const isTransient = (error: SqlError | Unreadable | OutcomeMissing) =>
      error instanceof SqlError && database.dialect.isTransient(error.cause)
    const retryWhileTransient = Waiting.retryWhile(isTransient, Backoff.untilCommitted)

    const report = makeClockReport()

    const announce = ({ jumps, outcomes, recorded }: Append.Appended) => {
      if (recorded.length > 0) {
        const announced = Effect.map(tail.broadcast(recorded), () => database.commitSignal.unsafeOpen())
        return jumps.length === 0 ? announced : Effect.zipLeft(announced, report(jumps))
      }
      // A repeated submission may have been committed by another process just now.
      return outcomes.some(Either.isRight) ? tail.advanceToHead : Effect.void
    }

    /** The tail would notice this by itself, but later. */
    const onceReplaced = (failure: Exit.Exit<unknown, StorageError>) =>
      reasonOf(failure) === "replaced" ? Effect.exit(tail.advanceToHead) : Effect.void

    /** When the storage last made progress: it decided a batch, or another process wrote. */
    let progressedAt = -Infinity
    /**
     * The failure of the last attempt since then, if it failed. A submission that has waited long enough fails with it,
     * without an attempt of its own.
     */
    let stuck: Exit.Exit<never, StorageError> | undefined
    const progress = () => {
      progressedAt = performance.now()
      stuck = undefined
    }
    const patienceWith = ({ since }: Entry): Patience => ({
      remaining: () => Math.max(since, progressedAt) + longestWait - performance.now()
    })

    /** Settles the entries that have waited long enough while the storage is stuck, and returns the others. */
    const settleStuck = (batch: ReadonlyArray<Entry>, failure: Exit.Exit<never, StorageError>) =>
      batch.filter((entry) => {
        const isPatient = patienceWith(entry).remaining() > 0
        if (!isPatient) entry.settle(failure)
        return isPatient
      })

    /**
     * Commits a batch, broadcasts what was recorded, and settles the entries. If the database refuses the batch, each
     * entry is tried on its own, so that only the culprit fails. While the storage makes no progress, an entry waits
     * for as long as its patience lasts, whichever batches it is in.
     */
    const commitBatch = (batch: ReadonlyArray<Entry>, restore: Restore): Effect.Effect<void> =>
      Effect.suspend(() => {
        const open = batch.filter(({ isOpen }) => isOpen)
        const entries = stuck === undefined ? open : settleStuck(open, stuck)
        if (entries.length === 0) return Effect.void
        const { position: before } = tail.seen()
        // The first entry has waited longest.
        const patience = patienceWith(entries[0]!)
        const submissions = entries.map(({ submission }) => submission)
        let decided = entries
        const remaining = () => {
          decided = entries.filter((entry) => entry.decide())
          return decided.length === entries.length ? submissions : decided.map(({ submission }) => submission)
        }
        const attempt = Effect.tapError(
          database.commit(() => append.appendAll(submissions, remaining), lastIdOf, patience, restore),
          (error) => {
            if (isTransient(error)) { for (const entry of decided) entry.reopen() }
            return Effect.void
          }
        )
        return Effect.matchCauseEffect(retryWhileTransient(attempt, patience, restore), {
          onFailure: (cause) => {
            // Nothing was decided: only waiting is interrupted.
            if (Cause.isInterruptedOnly(cause)) return Effect.interrupt
            const failure = Exit.failCause(Cause.map(cause, failed))
            if (Option.exists(Cause.failureOption(cause), isTransient)) {
              stuck = failure
              if (tail.seen().position > before) progress()
              return commitBatch(entries, restore)
            }
            progress()
            if (entries.length > 1 && !isNobodysFault(failure)) {
              for (const entry of entries) entry.reopen()
              return Effect.forEach(entries, (entry) => commitBatch([entry], restore), { discard: true })
            }
            return Effect.map(onceReplaced(failure), () => {
              for (const entry of entries) entry.settle(failure)
            })
          },
          onSuccess: (appended) => {
            progress()
            const settle = () =>
              decided.forEach((entry, index) => entry.settle(Exit.fromEither(appended.outcomes[index]!)))
            // The batch is committed even if its announcement fails.
            return Effect.matchCause(announce(appended), { onFailure: settle, onSuccess: settle })
          }
        })
      })

    /** Commits a batch with a span, to which its commands' spans are linked, and updates the metrics. */
    const commit = (batch: ReadonlyArray<Entry>, restore: Restore): Effect.Effect<void> => {
      const commands = batch.reduce((sum, { submission }) => sum + submission.commands.length, 0)
      return Effect.withFiberRuntime<void>((fiber) => {
        const started = performance.now()
        const span = isTraced(fiber) ? fiber.currentSpan : undefined
        if (span !== undefined) { for (const entry of batch) entry.link(span) }
        return Effect.map(commitBatch(batch, restore), () => {
          Metrics.commitSeconds.unsafeUpdate((performance.now() - started) / 1000, [])
          Metrics.batchCommands.unsafeUpdate(commands, [])
          Metrics.queueDepth.unsafeUpdate(queue.waiting(), [])
        })
      }).pipe(withSpan("SqlWriter.batch", { attributes: { "caravel.commands": commands } }))
    }

    // On a server, a batch waits for the lock before it is decided.
    const queue = yield* GroupCommit.make({ commit, weigh, canCallersLead: database.dialect.appendLock === undefined })

    /** Bounds the transaction, because from here on other transactions wait for it. */
    function* appendBounded(submission: Submission) {
      yield* Program.execute(database.holderBounds)
      return yield* append.appendAll([submission])
    }

    const announceAll = Effect.zipRight(tail.advanceToHead, database.commitSignal.open)

    /** Writes the submission in the caller's transaction, and broadcasts its events once that is committed. */
    const join = ({ afterCommit, run, written }: Transaction, submission: Submission) =>
      Effect.matchEffect(
        run(() => appendBounded(submission), ({ jumps, outcomes: [outcome], recorded }) => {
          for (const { id } of recorded) written.push(id)
          // A savepoint that is rolled back frees its positions, so fewer events may be committed than were written.
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
      append: (submission) =>
        Effect.withFiberRuntime((fiber) => {
          const transaction = database.transactionOf(fiber)
          return transaction === undefined ? queue.execute(submission) : join(transaction, submission)
        })
    })
  })
)

const lastIdOf = ({ recorded }: Append.Appended) => recorded[recorded.length - 1]?.id

const reasonOf = (exit: Exit.Exit<unknown, StorageError>) =>
  Exit.match(exit, {
    onSuccess: () => undefined,
    onFailure: (cause) => Option.getOrUndefined(Cause.failureOption(cause))?.reason
  })

/** Whether each submission alone would fail as the batch did, or it is unknown whether the batch failed. */
const isNobodysFault = (exit: Exit.Exit<unknown, StorageError>) =>
  ["commitUnknown", "readonly", "replaced"].includes(reasonOf(exit) ?? "")
