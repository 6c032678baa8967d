import { StorageError } from "@caravel/domain"
import { Effect, Schedule } from "effect"
import { retryWhile } from "../runtime/Waiting.js"
import { untilReadable } from "../tail/Subscription.js"

/**
 * Whether a failure of storage passes by itself: another process holds the database, it is away, or only takes reads for now.
 * After `commitUnknown` a consumer may do the same again, as what it writes is the same however often it is written.
 */
export const passes = (error: unknown): boolean =>
  error instanceof StorageError && (/^(busy|unavailable|commitUnknown)$/.test(error.reason) || error.passes === true)

const retried = retryWhile(passes, untilReadable)

/**
 * A database that another process holds, that is away or only takes reads for now is waited for, however long that takes. That
 * it only takes reads is told here: who broadcasts does not notice.
 */
export const patiently = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.suspend(() => {
    let isTold = false
    return retried(Effect.tapError(effect, (error) => {
      if (isTold || !(error instanceof StorageError) || error.reason !== "readonly" || !passes(error)) {
        return Effect.void
      }
      isTold = true
      return Effect.logWarning(`Waiting until the database takes writes. ${error.message}`)
    }))
  })

/** The same for half a minute at most: longer than a process that hangs can hold what is needed. */
export const withinDeadline = retryWhile(
  (error) => passes(error) && !(error instanceof StorageError && error.reason === "readonly"),
  Schedule.intersect(untilReadable, Schedule.recurUpTo("30 seconds"))
)
