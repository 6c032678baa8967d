import type { ClockOffset } from "@caravel/domain"
import { Clock, Duration, Effect } from "effect"

/**
 * The difference between this process's clock and the server's, if it exceeds the tolerance even after the round trip
 * is subtracted.
 */
export const clockOffset = <E>(
  serverTime: Effect.Effect<ReadonlyArray<ReadonlyArray<unknown>>, E>,
  tolerance: Duration.Duration
): Effect.Effect<ReadonlyArray<ClockOffset>, E> =>
  Effect.gen(function*() {
    const before = yield* Clock.currentTimeMillis
    const [[time] = []] = yield* serverTime
    const after = yield* Clock.currentTimeMillis
    const server = Number(time)
    const millis = before > server ? before - server : Math.min(after - server, 0)
    return Math.abs(millis) > Duration.toMillis(tolerance) ? [{ _tag: "ClockOffset", millis }] : []
  })
