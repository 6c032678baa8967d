/** Background fibers. No fiber waits for them, so an unexpected end is logged and they are restarted. */
import { Clock, Effect, Schedule, type Scope } from "effect"

/** The pause before a fiber that ended is restarted. */
const pause = Schedule.jittered(Schedule.spaced("1 second"))

/**
 * Runs an effect in a fiber of the scope, until it succeeds. If it fails, dies or is interrupted from inside, this is
 * logged at error level and the effect runs again after a second of real time, even under a `TestClock`.
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
