import { Waiting } from "@caravel/pubsub"
import { Effect, type Schedule } from "effect"
import type { Patience } from "./Patience.js"

/**
 * Retries what fails like this, as long as there is patience, by the clock of `Waiting`. The retry is set up once it has failed:
 * that takes 6 µs, and a lone command 80.
 */
export const retryWhile =
  <E>(isLikeThis: (error: E) => boolean, schedule: Schedule.Schedule<unknown>) =>
  <A, R>(effect: Effect.Effect<A, E, R>, patience: Patience): Effect.Effect<A, E, R> => {
    const isWorthwhile = (error: E) => isLikeThis(error) && patience.remaining() > 0
    return Effect.catchIf(effect, isWorthwhile, () => Waiting.retryWhile(isWorthwhile, schedule)(effect))
  }
