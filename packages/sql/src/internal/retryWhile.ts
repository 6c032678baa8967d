import { Clock, Effect, type Schedule } from "effect"
import type { Patience } from "./Patience.js"

/**
 * Retries what fails like this, as long as there is patience. What is waited for is outside of the program, so the time is the
 * real one, whatever clock it runs by. The retry is set up once it has failed: that takes 6 µs, and a lone command 80.
 */
export const retryWhile =
  <E>(isLikeThis: (error: E) => boolean, schedule: Schedule.Schedule<unknown>) =>
  <A, R>(effect: Effect.Effect<A, E, R>, patience: Patience): Effect.Effect<A, E, R> => {
    const isWorthwhile = (error: E) => isLikeThis(error) && patience.remaining() > 0
    return Effect.catchIf(effect, isWorthwhile, () =>
      Effect.clockWith((clock) =>
        Effect.withClock(
          Effect.retry(Effect.withClock(effect, clock), { while: isWorthwhile, schedule }),
          Clock.make()
        )
      ))
  }
