/** How consumers wait for storage that is busy or unavailable. */
import { StorageError } from "@caravel/domain"
import { Effect, Schedule } from "effect"
import * as Backoff from "../runtime/Backoff.js"
import { isTransient, retryWhile } from "../runtime/Waiting.js"

const isReadonly = (error: unknown): error is StorageError =>
  error instanceof StorageError && error.reason === "readonly"

/** Retries transient failures for as long as a condition holds. */
export const retryWhileTransient = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  condition: () => boolean
): Effect.Effect<A, E, R> => retryWhile((error) => isTransient(error) && condition(), Backoff.untilAvailable)(effect)

const retried = retryWhile(isTransient, Backoff.untilAvailable)

/**
 * Retries transient failures without limit. A temporarily read-only database is logged once here, as the tail only
 * reads and does not notice it.
 */
export const retryWhileUnavailable = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.suspend(() => {
    let isLogged = false
    return retried(Effect.tapError(effect, (error) => {
      if (isLogged || !isReadonly(error) || !isTransient(error)) return Effect.void
      isLogged = true
      return Effect.logWarning(`Waiting until the database accepts writes. ${error.message}`)
    }))
  })

/**
 * Retries transient failures for at most 30 seconds, which is longer than a hanging process can hold a lock. Fails at
 * once if the database is read-only.
 */
export const retryUntilDeadline = retryWhile(
  (error) => isTransient(error) && !isReadonly(error),
  Schedule.intersect(Backoff.untilAvailable, Schedule.recurUpTo("30 seconds"))
)
