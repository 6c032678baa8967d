/** How consumers wait for storage that is busy or unavailable. */
import { StorageError } from "@caravel/domain"
import { Effect, Schedule } from "effect"
import * as Backoff from "../runtime/Backoff.js"
import { retryWhile } from "../runtime/Waiting.js"

/**
 * Whether a failure of storage is expected to pass: another process holds the database, it cannot be reached, or it is read-only
 * for now. A consumer may also repeat a write whose commit is unknown, as its writes are idempotent.
 */
export const isTransient = (error: unknown): boolean =>
  error instanceof StorageError && (/^(busy|unavailable|commitUnknown)$/.test(error.reason) || error.passes === true)

const isReadonly = (error: unknown): error is StorageError =>
  error instanceof StorageError && error.reason === "readonly"

/** Retries transient failures for as long as a condition holds. */
export const retryWhileTransient = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  condition: () => boolean
): Effect.Effect<A, E, R> => retryWhile((error) => isTransient(error) && condition(), Backoff.untilAvailable)(effect)

const retried = retryWhile(isTransient, Backoff.untilAvailable)

/**
 * Retries transient failures without limit. A database that is read-only for now is logged once, as the tail, which only reads, does
 * not notice it.
 */
export const retryWhileUnavailable = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.suspend(() => {
    let isLogged = false
    return retried(Effect.tapError(effect, (error) => {
      if (isLogged || !isReadonly(error) || !isTransient(error)) return Effect.void
      isLogged = true
      return Effect.logWarning(`Waiting until the database takes writes. ${error.message}`)
    }))
  })

/**
 * Retries transient failures for at most 30 seconds, which is longer than a process that hangs can hold a lock. A read-only database
 * fails at once.
 */
export const retryUntilDeadline = retryWhile(
  (error) => isTransient(error) && !isReadonly(error),
  Schedule.intersect(Backoff.untilAvailable, Schedule.recurUpTo("30 seconds"))
)
