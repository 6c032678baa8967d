import type { ClockOffset } from "@caravel/domain"
import { Clock, Duration, Effect } from "effect"

/** How far the clock of this process is from the server's, if that is more than the tolerance, whatever the round trip took. */
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
