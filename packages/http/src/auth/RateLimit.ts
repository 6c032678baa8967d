/** A limit of requests per credential, kept in memory by each host. */
import { Clock, Effect } from "effect"
import { TooManyRequests } from "../api/RequestError.js"

const minute = 60_000

/**
 * Counts requests in windows of a minute. Fails if a credential has sent more in the current one. At most the
 * credentials of one window are in memory.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  perMinute: number
): Effect.Effect<(credential: string) => Effect.Effect<void, TooManyRequests>> =>
  Effect.sync(() => {
    const counts = new Map<string, number>()
    let end = 0
    return (credential) =>
      Effect.flatMap(Clock.currentTimeMillis, (now) => {
        if (now >= end || now < end - minute) {
          counts.clear()
          end = now + minute
        }
        const count = (counts.get(credential) ?? 0) + 1
        counts.set(credential, count)
        return count > perMinute
          ? new TooManyRequests({ retryAfter: Math.ceil((end - now) / 1000) })
          : Effect.void
      })
  })
