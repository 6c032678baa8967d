import { Effect, Exit, Option } from "effect"
import type { Batch, Handle } from "./Batch.js"
import type { Session } from "./Session.js"

/** Handles activities outside of transactions. The checkpoint moves later, once for many: after a crash, some are handled again. */
export const directly =
  <E, R>({ blocked, held, inFlight, settings: { handle } }: Session<E, R>) => (batch: Batch): Handle<R> =>
    // The loop does nothing but call the handler: this is the cost of catching up. It ends early if a handler has blocked the event
    // loop, or the process was suspended, for longer than the lease lasts.
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
          step: () => batch.complete()
        })
      )),
      (exit) => Exit.isFailure(exit) ? Option.some(exit.cause) : Option.none()
    )
