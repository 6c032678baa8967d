/** Instants of tests. */
import { Clock, DateTime, Effect } from "effect"

export const instant = (iso: string): DateTime.Utc => DateTime.unsafeMake(iso)

/** Runs an effect with a clock that stands at an instant; waiting takes its time. */
export const at = (iso: string) => {
  const millis = instant(iso).epochMillis
  return Effect.withClock(Object.assign(Clock.make(), {
    currentTimeMillis: Effect.succeed(millis),
    unsafeCurrentTimeMillis: () => millis
  }))
}
