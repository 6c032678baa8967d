/**
 * Handling outside of transactions. The checkpoint is written later, for many activities at once: a crash repeats some
 * of them.
 */
import { Array as Arr, Cause, Effect, Exit, Option } from "effect"
import { ahead, type Batch, type Handle } from "./Batch.js"
import type { Session } from "./Session.js"

/** Handles activities one by one or, if the consumer handles batches, several at a time. */
export const directly = <E, R>(session: Session<E, R>): (batch: Batch) => Handle<R> =>
  session.settings.handleBatch === undefined
    ? oneByOne(session)
    : severalAtATime(session, session.settings.handleBatch)

/**
 * Runs calls of the handler until the batch is done or the run stops. It ends early if activities have waited to be
 * parked for long enough, or if the lease may have expired because a handler blocked the event loop or the process was
 * suspended.
 */
const handling = <E, E2, R>(
  session: Session<E, R>,
  batch: Batch,
  body: () => Effect.Effect<unknown, E2, R>,
  step: () => void
): Effect.Effect<Option.Option<Cause.Cause<E2>>, never, R> => {
  const { blocked, held, inFlight } = session
  const mayHandle = () => {
    while (!batch.isDone && blocked.has(batch.current)) session.putBehind(batch)
    return !batch.isDone && !inFlight.stopping && held.isSure() && !session.mustPark(batch)
  }
  return Effect.map(
    Effect.exit(inFlight.track(() => batch.current, Effect.whileLoop({ while: mayHandle, body, step }))),
    (exit) => Exit.isFailure(exit) ? Option.some(exit.cause) : Option.none()
  )
}

const oneByOne = <E, R>(session: Session<E, R>) => (batch: Batch): Handle<R> => {
  const { outcomes, settings: { handle } } = session
  // Catching up costs what this loop costs, so it does nothing but call the handler.
  return handling(
    session,
    batch,
    () => handle(batch.current),
    () => {
      outcomes.onHandled(batch.current)
      batch.complete()
    }
  )
}

const severalAtATime =
  <E, R>(session: Session<E, R>, handleBatch: NonNullable<Session<E, R>["settings"]["handleBatch"]>) =>
  (batch: Batch): Handle<R> => {
    const { blocked, outcomes, settings: { batchSize } } = session
    // Up to this position activities are handled one by one, as a call with all of them has failed.
    let oneByOneUntil = 0
    const call = (): Effect.Effect<void, Cause.Cause<unknown>, R> => {
      const max = batch.current.position <= oneByOneUntil ? 1 : batchSize
      const { activities: all, current, index } = batch
      const activities = Arr.make(current, ...ahead(all, index + 1, max - 1, (activity) => blocked.has(activity)))
      return Effect.matchCauseEffect(handleBatch(activities), {
        onSuccess: () =>
          Effect.sync(() => {
            for (const activity of activities) {
              outcomes.onHandled(activity)
              batch.complete()
            }
          }),
        onFailure: (cause) => {
          if (activities.length === 1) return Effect.fail(cause)
          oneByOneUntil = Arr.lastNonEmpty(activities).position
          return session.reportBatchFailure(activities, cause)
        }
      })
    }
    return Effect.map(handling(session, batch, call, () => {}), Option.map(Cause.flatten))
  }
