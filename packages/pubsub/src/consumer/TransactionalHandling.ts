/** Handlers that run in the transaction that moves the checkpoint: after a crash, nothing is handled twice. */
import { type Activity, StorageError } from "@caravel/domain"
import { Array as Arr, Cause, Effect, Either, Exit, Option } from "effect"
import { isTransient, sleep, Waiting } from "../runtime/Waiting.js"
import { ahead, type Batch, type Handle } from "./Batch.js"
import type { Session } from "./Session.js"
import { retryWhileTransient } from "./StorageRetry.js"

/** The maximum number of activities in a transaction, if the handler takes one activity at a time. */
const maxActivities = 64

/** After this many milliseconds a transaction starts no further handler, as other writers wait for it. */
const maxMillis = 20

/** How often a commit may fail after its handlers succeeded. Then the commit's error counts as a handler failure. */
const maxRefusals = 5

/** A transaction in progress. */
interface Attempt {
  /** The index of the current activity. */
  index: number
  /** The failure of the current activity's handler. */
  failure: Cause.Cause<unknown> | undefined
  /** Whether a handler has been started. */
  started: boolean
  /** The activities that were handled, and those that were parked behind others. */
  handled: Array<Activity>
  parked: Array<Activity>
}

/** Up to this index activities are handled one by one, as a call with all of them has failed. */
interface OneByOne {
  until: number
}

/** Handles a batch in transactions of several activities each. */
export const inTransactions = <E, R>(session: Session<E, R>) => (batch: Batch): Handle<R> => {
  const { activities } = batch
  // These outlive a call: a batch whose commit was refused is handled in transactions of one activity.
  let most = session.settings.handleBatch === undefined ? maxActivities : session.settings.batchSize
  let refusals = 0
  const oneByOne: OneByOne = { until: 0 }
  return Effect.gen(function*() {
    /** A handler's failure in a transaction that was rolled back. The activities before it are committed first. */
    let failed: { readonly index: number; readonly cause: Cause.Cause<unknown> } | undefined
    while (!batch.isDone) {
      if (failed?.index === batch.index) return Option.some(failed.cause)
      const attempt: Attempt = { index: batch.index, failure: undefined, started: false, handled: [], parked: [] }
      const result = yield* Effect.either(
        commit(
          session,
          batch,
          failed === undefined ? most : Math.min(most, failed.index - batch.index),
          attempt,
          oneByOne
        )
      )
      if (attempt.failure !== undefined) failed = { index: attempt.index, cause: attempt.failure }
      if (Either.isRight(result)) {
        refusals = 0
        batch.index = attempt.index
        continue
      }
      const error = result.left
      if (!(error instanceof StorageError) || !(isTransient(error) || error.reason === "other")) return yield* error
      if (error.reason === "commitUnknown") {
        const position = yield* session.committed
        batch.index = activities.filter((activity) => activity.position <= position).length
        if (batch.index >= attempt.index) count(session, attempt)
        else yield* sleep("100 millis")
      } else if (attempt.failure !== undefined) {
        continue
      } else if (isTransient(error) && ++refusals < maxRefusals) {
        yield* sleep("100 millis")
      } else if (most > 1) {
        // If the writes of one handler make the commit fail, all handlers of the transaction fail with it.
        most = 1
      } else failed = { index: batch.index, cause: Cause.fail(error) }
    }
    return Option.none()
  })
}

/** Counts what became of the activities of a committed transaction. */
const count = <E, R>({ outcomes }: Session<E, R>, { handled, parked }: Attempt) => {
  for (const activity of handled) outcomes.onHandled(activity)
  for (const _ of parked) outcomes.onParked()
  outcomes.publish()
}

/** Handles and commits at most `most` activities. Retries storage failures until a handler has started. */
const commit = <E, R>(
  session: Session<E, R>,
  batch: Batch,
  most: number,
  attempt: Attempt,
  oneByOne: OneByOne
) => {
  const { activities, index } = batch
  const { inFlight, progress, writing } = session
  const current = (): Activity => activities[Math.min(attempt.index, activities.length - 1)]!
  const committed = Effect.map(Effect.suspend(() => transaction(session, batch, most, attempt, oneByOne)), () => {
    if (attempt.index > index) progress.commit(activities[attempt.index - 1]!.position)
    count(session, attempt)
  })
  return writing.withPermits(1)(retryWhileTransient(inFlight.track(current, committed), () => !attempt.started))
}

const transaction = <E, R>(
  session: Session<E, R>,
  { activities, index: from }: Batch,
  most: number,
  attempt: Attempt,
  oneByOne: OneByOne
) => {
  const { blocked, held, inFlight, lease, parkBehind, progress, settings, store } = session
  return held.inTransaction(store.transaction(Effect.gen(function*() {
    Object.assign(attempt, { index: from, failure: undefined, started: false, handled: [], parked: [] })
    yield* store.leases.renew(lease)
    const clock = yield* Waiting
    const until = clock.unsafeCurrentTimeMillis() + maxMillis
    const end = Math.min(activities.length, from + most)
    while (attempt.index < end) {
      const max = attempt.index < oneByOne.until ? 1 : Math.min(settings.batchSize, end - attempt.index)
      const free = ahead(activities, attempt.index, max, (activity) => blocked.has(activity))
      const called = free.length > 0
        ? free
        : yield* parkBehind(activities[attempt.index]!)
      if (Arr.isNonEmptyReadonlyArray(called)) {
        attempt.started = true
        const exit = yield* Effect.exit(store.transaction(Effect.suspend(() => call(settings, called))))
        if (Exit.isFailure(exit)) {
          if (called.length === 1) {
            attempt.failure = exit.cause
            break
          }
          oneByOne.until = attempt.index + called.length
          yield* session.reportBatchFailure(called, exit.cause)
          continue
        }
      }
      const done = called.length > 0 ? attempt.handled : attempt.parked
      const next = attempt.index + Math.max(1, called.length)
      for (const activity of activities.slice(attempt.index, next)) done.push(activity)
      attempt.index = next
      if (clock.unsafeCurrentTimeMillis() >= until || inFlight.stopping || !held.isSure()) break
    }
    if (attempt.index > from) {
      yield* store.checkpoints.move(lease, progress.written, activities[attempt.index - 1]!.position)
    }
  })))
}

const call = <E, R>(
  { handle, handleBatch }: Session<E, R>["settings"],
  activities: Arr.NonEmptyReadonlyArray<Activity>
) => activities.length === 1 || handleBatch === undefined ? handle(activities[0]) : handleBatch(activities)
