import { Waiting } from "@caravel/pubsub"
import { Effect, Function, Schedule } from "effect"
import type { Patience } from "./Patience.js"
import type { Restore } from "./Turns.js"

/**
 * Retries what fails like this, as long as there is patience, by the clock of `Waiting`; in an uninterruptible region,
 * `restore` makes the waiting interruptible. The retry is set up once it has failed: that takes 6 µs, and a lone command 80.
 */
export const retryWhile = <E>(isLikeThis: (error: E) => boolean, schedule: Schedule.Schedule<unknown>) =>
<A, R>(
  effect: Effect.Effect<A, E, R>,
  patience: Patience,
  restore: Restore = Function.identity
): Effect.Effect<A, E, R> => {
  const isWorthwhile = (error: E) => isLikeThis(error) && patience.remaining() > 0
  return Effect.catchIf(
    effect,
    isWorthwhile,
    (error) =>
      Effect.flatMap(Effect.zip(Schedule.driver(schedule), Waiting.Waiting), ([driver, clock]) => {
        const again = (error: E): Effect.Effect<A, E, R> =>
          Effect.matchEffect(restore(Effect.withClock(driver.next(error), clock)), {
            onFailure: () => Effect.fail(error),
            onSuccess: () => Effect.catchIf(effect, isWorthwhile, again)
          })
        return again(error)
      })
  )
}
