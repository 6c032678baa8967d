/** Handlers that run in the transaction that moves the checkpoint: after a crash, nothing is handled twice. */
import { type Activity, StorageError } from "@caravel/domain"
import { Cause, Effect, Either, Exit, Option } from "effect"
import { sleep, Waiting } from "../runtime/Waiting.js"
import type { Batch, Handle } from "./Batch.js"
import type { Session } from "./Session.js"
import { isTransient, retryWhileTransient } from "./StorageRetry.js"

/** The maximum number of activities in a transaction. */
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

/** Handles a batch in transactions of several activities each. */
export const inTransactions = <E, R>(session: Session<E, R>) => (batch: Batch): Handle<R> => {
  const { activities } = batch
  // Both outlive a call: a batch whose commit was refused is handled in transactions of one activity.
  let most = maxActivities
  let refusals = 0
  return Effect.gen(function*() {
    /** A handler's failure in a transaction that was rolled back. The activities before it are committed first. */
    let failed: { readonly index: number; readonly cause: Cause.Cause<unknown> } | undefined
    while (!batch.isDone) {
      if (failed?.index === batch.index) return Option.some(failed.cause)
      const attempt: Attempt = { index: batch.index, failure: undefined, started: false, handled: [], parked: [] }
      const result = yield* Effect.either(
        commit(session, batch, failed === undefined ? most : failed.index - batch.index, attempt)
      )
      if (attempt.failure !== undefined) failed = { index: attempt.index, cause: attempt.failure }
      if (Either.isRight(result)) {
        refusals = 0
        batch.index = attempt.index
        continue
      }
      const error = result.left
      if (!(error instanceof StorageError) || !(isTransient(error) || error.reason === "other")) return yield* error
      if (attempt.failure !== undefined) continue
      if (error.reason === "commitUnknown") {
        const position = yield* session.committed
        batch.index = activities.filter((activity) => activity.position <= position).length
        if (batch.index >= attempt.index) count(session, attempt)
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
  for (const activity of parked) outcomes.onParked(activity)
}

/** Handles and commits at most `most` activities. Retries storage failures until a handler has started. */
const commit = <E, R>(session: Session<E, R>, { activities, index }: Batch, most: number, attempt: Attempt) => {
  const { inFlight, progress, writing } = session
  const current = (): Activity => activities[Math.min(attempt.index, activities.length - 1)]!
  const committed = Effect.map(Effect.suspend(() => transaction(session, activities, index, most, attempt)), () => {
    if (attempt.index > index) progress.commit(activities[attempt.index - 1]!.position)
    count(session, attempt)
  })
  return writing.withPermits(1)(retryWhileTransient(inFlight.track(current, committed), () => !attempt.started))
}

const transaction = <E, R>(
  { blocked, held, inFlight, lease, parkBehind, progress, settings: { handle }, store }: Session<E, R>,
  activities: ReadonlyArray<Activity>,
  from: number,
  most: number,
  attempt: Attempt
) =>
  store.transaction(Effect.gen(function*() {
    Object.assign(attempt, { index: from, failure: undefined, started: false, handled: [], parked: [] })
    yield* store.leases.renew(lease)
    const clock = yield* Waiting
    const until = clock.unsafeCurrentTimeMillis() + maxMillis
    const end = Math.min(activities.length, from + most)
    while (attempt.index < end) {
      const activity = activities[attempt.index]!
      const isFree = !blocked.has(activity) || (yield* parkBehind([activity])).length > 0
      if (isFree) {
        attempt.started = true
        const exit = yield* Effect.exit(store.transaction(Effect.suspend(() => handle(activity))))
        if (Exit.isFailure(exit)) {
          attempt.failure = exit.cause
          break
        }
      }
      const done = isFree ? attempt.handled : attempt.parked
      done.push(activity)
      attempt.index++
      if (clock.unsafeCurrentTimeMillis() >= until || inFlight.stopping || !held.isSure()) break
    }
    if (attempt.index > from) {
      yield* store.checkpoints.move(lease, progress.written, activities[attempt.index - 1]!.position)
    }
  }))
