/** The clock that Caravel itself waits by: for leases, polls, and storage that is busy or away. */
import { Clock, Context, Duration, Effect, type Schedule } from "effect"

/**
 * What is waited for here happens outside of the program, so the clock is a real one, whatever `Clock` the program runs
 * by: under a `TestClock`, an idle consumer costs nothing however far that is moved. Provide another clock to test the
 * waiting itself.
 *
 * @since 0.1.0
 * @category references
 */
export class Waiting extends Context.Reference<Waiting>()("@caravel/pubsub/Waiting", {
  defaultValue: (): Clock.Clock => Clock.make()
}) {}

/**
 * Waits by that clock.
 *
 * @since 0.1.0
 * @category waiting
 */
export const sleep = (duration: Duration.DurationInput): Effect.Effect<void> =>
  Effect.flatMap(Waiting, (clock) => clock.sleep(Duration.decode(duration)))

/**
 * Retries what fails like this, by that clock; what is retried keeps the program's. The retry is set up once it has failed:
 * that takes 6 µs, and a lone command 80.
 *
 * @since 0.1.0
 * @category waiting
 */
export const retryWhile =
  <Retried>(isLikeThis: (error: Retried) => boolean, schedule: Schedule.Schedule<unknown>) =>
  <A, E extends Retried, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.catchIf(
      effect,
      isLikeThis,
      () =>
        Effect.flatMap(Waiting, (waiting) =>
          Effect.clockWith((clock) =>
            Effect.withClock(
              Effect.retry(Effect.withClock(effect, clock), { while: isLikeThis, schedule }),
              waiting
            )
          ))
    )
