import { Clock, Effect, type Schedule } from "effect"

/**
 * Retries what fails like this. What is waited for is outside of the program, so the time is the real one, whatever clock it
 * runs by. The retry is set up once it has failed: that takes 6 µs, and a lone command 80.
 */
export const retryWhile =
  <E>(isLikeThis: (error: E) => boolean, schedule: Schedule.Schedule<unknown>) =>
  <A, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.catchIf(effect, isLikeThis, () =>
      Effect.clockWith((clock) =>
        Effect.withClock(
          Effect.retry(Effect.withClock(effect, clock), { while: isLikeThis, schedule }),
          Clock.make()
        )
      ))
