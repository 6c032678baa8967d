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
import type { Restore } from "../statement/Mutex.js"
import * as Script from "../statement/StatementScript.js"
import * as Append from "./Append.js"
import type { Entry as QueueEntry } from "./Entry.js"
import * as GroupCommit from "./GroupCommit.js"
import type { OutcomeMissing } from "./IdempotencyKeys.js"
import * as Metrics from "./Metrics.js"
import { StorageProgress } from "./StorageProgress.js"

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
    const announcements = announcing(database, tail)
    const writeBatch = makeBatchWriter(database, append, tail.seen, announcements)
    const join = joining(database, append, announcements)

    const waiting = (): number => queue.waiting()
    const queue = yield* GroupCommit.make({
      commit: (batch: ReadonlyArray<Entry>, restore) => observed(batch, writeBatch(batch, restore), waiting),
      weigh,
      // On a server, a batch waits for the lock before it is decided.
      canCallersLead: !database.dialect.isServer
    })

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

/** Runs the write of a batch with a span, to which its commands' spans are linked, and updates the metrics. */
const observed = (
  batch: ReadonlyArray<Entry>,
  write: Effect.Effect<void>,
  waiting: () => number
): Effect.Effect<void> => {
  const commands = batch.reduce((sum, { submission }) => sum + submission.commands.length, 0)
  return Effect.withFiberRuntime<void>((fiber) => {
    const started = performance.now()
    return Effect.map(isTraced(fiber) ? traced(batch, commands, write) : write, () => {
      Metrics.commitSeconds.unsafeUpdate((performance.now() - started) / 1000, [])
      Metrics.batchCommands.unsafeUpdate(commands, [])
      Metrics.queueDepth.unsafeUpdate(waiting(), [])
    })
  })
}

const traced = (batch: ReadonlyArray<Entry>, commands: number, write: Effect.Effect<void>): Effect.Effect<void> =>
  Effect.withFiberRuntime<void>(({ currentSpan }) => {
    if (currentSpan !== undefined) { for (const entry of batch) entry.link(currentSpan) }
    return write
  }).pipe(withSpan("SqlWriter.batch", { attributes: { "caravel.commands": commands } }))

/**
 * Commits batches, broadcasts what was recorded, and settles the entries. If the database refuses a batch, each entry is
 * tried on its own, so that only the culprit fails. While the storage makes no progress, an entry waits for as long as
 * its patience lasts, whichever batches it is in.
 */
const makeBatchWriter = (
  { dialect, transactScript }: typeof Database.Service,
  append: Appender,
  seen: () => Tail.Seen,
  { announce, onceReplaced }: Announcements
) => {
  const failed = toStorageError(dialect, "commit")
  const isTransient = (error: SqlError | Unreadable | OutcomeMissing) =>
    error instanceof SqlError && dialect.isTransient(error.cause)
  const retryWhileTransient = Waiting.retryWhile(isTransient, Backoff.untilCommitted)
  const progress = new StorageProgress()

  const writeBatch = (queued: ReadonlyArray<Entry>, restore: Restore): Effect.Effect<void> =>
    Effect.suspend(() => {
      const entries = queued.filter((entry) => entry.isOpen && !progress.settleIfStuck(entry))
      if (entries.length === 0) return Effect.void
      const batch = new Batch(entries)
      const { position: before } = seen()
      // The first entry has waited longest.
      const patience = progress.patienceOf(entries[0]!)
      const attempt = Effect.tapError(
        transactScript(() => append.appendAll(batch.submissions, batch.decide), lastIdOf, patience, restore),
        (error) => {
          if (isTransient(error)) batch.reopen()
          return Effect.void
        }
      )
      return Effect.matchCauseEffect(retryWhileTransient(attempt, patience, restore), {
        onFailure: (cause) => {
          // Nothing was committed: only waiting is interrupted, also the wait after a COMMIT that another process refused.
          if (Cause.isInterruptedOnly(cause)) {
            batch.reopen()
            return Effect.interrupt
          }
          const failure = Exit.failCause(Cause.map(cause, failed))
          if (Option.exists(Cause.failureOption(cause), isTransient)) {
            if (seen().position > before) progress.made()
            else progress.stuck(failure)
            return writeBatch(entries, restore)
          }
          progress.made()
          if (entries.length > 1 && !isNobodysFault(failure)) {
            batch.reopen()
            return Effect.forEach(entries, (entry) => writeBatch([entry], restore), { discard: true })
          }
          return Effect.map(onceReplaced(failure), () => batch.fail(failure))
        },
        onSuccess: (appended) => {
          progress.made()
          const settle = () => batch.settle(appended)
          // The batch is committed even if its announcement fails.
          return Effect.matchCause(announce(appended), { onFailure: settle, onSuccess: settle })
        }
      })
    })
  return writeBatch
}

/** Entries that are committed together. */
class Batch {
  readonly submissions: ReadonlyArray<Submission>
  private readonly entries: ReadonlyArray<Entry>
  private decided: ReadonlyArray<Entry>

  constructor(entries: ReadonlyArray<Entry>) {
    this.entries = this.decided = entries
    this.submissions = entries.map(submissionOf)
  }

  /** Decides the entries that are not withdrawn, and returns their submissions. */
  readonly decide = (): ReadonlyArray<Submission> => {
    this.decided = this.entries.filter((entry) => entry.decide())
    return this.decided.length === this.entries.length ? this.submissions : this.decided.map(submissionOf)
  }

  /** Reopens the decided entries, because they were not committed. */
  reopen(): void {
    for (const entry of this.decided) entry.reopen()
  }

  settle({ outcomes }: Append.Appended): void {
    this.decided.forEach((entry, index) => entry.settle(Exit.fromEither(outcomes[index]!)))
  }

  fail(failure: Exit.Exit<never, StorageError>): void {
    for (const entry of this.entries) entry.settle(failure)
  }
}

const submissionOf = ({ submission }: Entry) => submission

/** Writes submissions in their callers' transactions, and broadcasts their events once these are committed. */
const joining = (
  { dialect, holderBounds }: typeof Database.Service,
  append: Appender,
  { announceAll, onceReplaced, report }: Announcements
) => {
  const failed = toStorageError(dialect, "commit")

  /** Bounds the transaction, because from here on other transactions wait for it. */
  function* appendBounded(submission: Submission) {
    yield* Script.execute(holderBounds)
    return yield* append.appendAll([submission])
  }

  return ({ afterCommit, run, written }: Transaction, submission: Submission) =>
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
}

/** What is announced after a commit, or after a failure that shows that others have committed. */
const announcing = ({ commitSignal }: typeof Database.Service, tail: typeof Tail.Tail.Service) => {
  const report = makeClockReport()
  return {
    /** Reports clocks that went back. */
    report,

    /** Broadcasts what a batch has recorded. */
    announce: ({ jumps, outcomes, preceding, recorded }: Append.Appended) => {
      if (recorded.length > 0) {
        const announced = Effect.map(tail.broadcast(recorded, preceding), () => commitSignal.unsafeOpen())
        return jumps.length === 0 ? announced : Effect.zipLeft(announced, report(jumps))
      }
      // A repeated submission may have been committed by another process just now.
      return outcomes.some(Either.isRight) ? tail.advanceToHead : Effect.void
    },

    /** Broadcasts what a caller's transaction has recorded. */
    announceAll: Effect.zipRight(tail.advanceToHead, commitSignal.open),

    /** The tail would notice this by itself, but later. */
    onceReplaced: (failure: Exit.Exit<unknown, StorageError>) =>
      reasonOf(failure) === "replaced" ? Effect.exit(tail.advanceToHead) : Effect.void
  }
}

type Announcements = ReturnType<typeof announcing>

type Appender = Effect.Effect.Success<ReturnType<typeof Append.make>>

const lastIdOf = ({ recorded }: Append.Appended) => recorded[recorded.length - 1]?.id

const reasonOf = (exit: Exit.Exit<unknown, StorageError>) =>
  Exit.match(exit, {
    onSuccess: () => undefined,
    onFailure: (cause) => Option.getOrUndefined(Cause.failureOption(cause))?.reason
  })

/** Whether each submission would fail alone as the batch did, or the outcome of the batch is unknown. */
const isNobodysFault = (exit: Exit.Exit<unknown, StorageError>) =>
  ["commitUnknown", "readonly", "replaced"].includes(reasonOf(exit) ?? "")
