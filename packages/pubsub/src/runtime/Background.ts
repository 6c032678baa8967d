/** Fibers that work for others without being waited for: their end must not go unnoticed. */
import { Clock, Effect, Schedule, type Scope } from "effect"

/** How long a fiber that ended stays away. */
const pause = Schedule.jittered(Schedule.spaced("1 second"))

/**
 * Runs an effect in a fiber of the scope. If it fails, dies or is interrupted from inside, the log says so at error level,
 * and it runs again after a second; it is done when it succeeds. The pause is a second of real time, also under a `TestClock`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const run = <E, R>(
  name: string,
  effect: Effect.Effect<unknown, E, R>
): Effect.Effect<void, never, R | Scope.Scope> =>
  Effect.clockWith((clock) =>
    Effect.withClock(effect, clock).pipe(
      Effect.sandbox,
      Effect.tapError((cause) => Effect.logError(`${name} has ended, and is started again`, cause)),
      Effect.retry(pause),
      Effect.withClock(Clock.make()),
      Effect.interruptible,
      Effect.forkScoped,
      Effect.asVoid
    )
  )
