import { Clock, DateTime, Effect } from "effect"
import { StorageError } from "./CommandError.js"

/** The last millisecond of the year 9999: the limit of ISO 8601 with a four-digit year. A UUIDv7 can hold it too. */
const last = 253_402_300_799_999

/**
 * The clock's current instant, in a form that can be stored: a whole millisecond from 1970 to 9999, which every column
 * and text format preserves. Every stored instant is read here. Fails with a `StorageError`, before anything is
 * written, if the clock returns any other value. To recover, correct the clock.
 *
 * @since 0.1.0
 * @category accessors
 */
export const currentInstant: Effect.Effect<DateTime.Utc, StorageError> = Effect.flatMap(
  Clock.currentTimeMillis,
  (millis) => {
    // Adding 0 turns -0 into 0.
    const whole = Math.floor(millis) + 0
    return whole >= 0 && whole <= last ? Effect.succeed(DateTime.unsafeMake(whole)) : unusable(millis)
  }
)

const unusable = (millis: number) =>
  new StorageError({
    reason: "other",
    operation: "clock",
    cause: new Error(`the clock returned ${millis} ms since 1970, not between 1970 and 9999; correct the clock`)
  })
