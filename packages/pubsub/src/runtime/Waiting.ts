/** The clock that Caravel itself uses to wait: for leases, polls, and storage that is busy or unavailable. */
import { StorageError, type StorageErrorReason } from "@caravel/domain"
import { Clock, Context, Duration, Effect, Function, Schedule } from "effect"

/**
 * The clock for waiting on what happens outside of the program. By default it is a real clock, whichever `Clock` the
 * program has. Under a `TestClock`, an idle consumer therefore costs nothing, however far you move the time. Provide
 * another clock to test the waiting itself.
 *
 * @since 0.1.0
 * @category references
 */
export class Waiting extends Context.Reference<Waiting>()("@caravel/pubsub/Waiting", {
  defaultValue: (): Clock.Clock => Clock.make()
}) {}

/**
 * Sleeps by the clock of `Waiting`.
 *
 * @since 0.1.0
 * @category waiting
 */
export const sleep = (duration: Duration.DurationInput): Effect.Effect<void> =>
  Effect.flatMap(Waiting, (clock) => clock.sleep(Duration.decode(duration)))

/**
 * Whether a storage failure is transient: another process has locked the database, it cannot be reached, or it is
 * temporarily read-only. A commit of unknown outcome counts too, so what is retried must be idempotent.
 *
 * @since 0.1.0
 * @category waiting
 */
export const isTransient = (error: unknown): boolean =>
  error instanceof StorageError && (transient.has(error.reason) || error.passes === true)

const transient: ReadonlySet<StorageErrorReason> = new Set<StorageErrorReason>(["busy", "unavailable", "commitUnknown"])

/**
 * How much longer a caller is willing to wait.
 *
 * @since 0.1.0
 * @category models
 */
export interface Patience {
  /** The milliseconds that are left; 0 or less when the time is over. */
  readonly remaining: () => number
}

const unlimited: Patience = { remaining: () => Infinity }

/**
 * Retries errors that match a predicate, by the clock of `Waiting`, while `patience` has time left. In an
 * uninterruptible region, `restore` makes the waiting interruptible. The retry is set up only after the first failure:
 * the setup takes 6 µs, and a single command takes 80.
 *
 * @since 0.1.0
 * @category waiting
 */
export const retryWhile =
  <Retried>(isRetried: (error: Retried) => boolean, schedule: Schedule.Schedule<unknown>) =>
  <A, E extends Retried, R>(
    effect: Effect.Effect<A, E, R>,
    patience: Patience = unlimited,
    restore: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R> = Function.identity
  ): Effect.Effect<A, E, R> => {
    const isWorthwhile = (error: E) => isRetried(error) && patience.remaining() > 0
    return Effect.catchIf(
      effect,
      isWorthwhile,
      (error) =>
        Effect.flatMap(Effect.zip(Schedule.driver(schedule), Waiting), ([driver, clock]) => {
          const again = (error: E): Effect.Effect<A, E, R> =>
            Effect.matchEffect(restore(Effect.withClock(driver.next(error), clock)), {
              onFailure: () => Effect.fail(error),
              onSuccess: () => Effect.catchIf(effect, isWorthwhile, again)
            })
          return again(error)
        })
    )
  }
