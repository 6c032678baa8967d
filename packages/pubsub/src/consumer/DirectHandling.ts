import { Effect, Exit, Option } from "effect"
import type { Batch, Handle } from "./Batch.js"
import type { Session } from "./Session.js"

/**
 * Handles activities outside of transactions. The checkpoint is written later, for many at once: a crash repeats some
 * of them.
 */
export const directly =
  <E, R>({ blocked, held, inFlight, outcomes, settings: { handle } }: Session<E, R>) => (batch: Batch): Handle<R> =>
    // Catching up costs what this loop costs, so it does nothing but call the handler. It ends early if the lease may
    // have expired because a handler blocked the event loop or the process was suspended.
    Effect.map(
      Effect.exit(inFlight.track(
        () => batch.current,
        Effect.whileLoop({
          while: () => !batch.isDone && !inFlight.stopping && held.isSure(),
          body: () => {
            const activity = batch.current
            if (!blocked.has(activity)) return handle(activity)
            batch.behind.push(activity)
            return Effect.void
          },
          step: () => {
            if (batch.current !== batch.behind.at(-1)) outcomes.onHandled(batch.current)
            batch.complete()
          }
        })
      )),
      (exit) => Exit.isFailure(exit) ? Option.some(exit.cause) : Option.none()
    )
