import { Clock, DateTime, Effect } from "effect"
import { StorageError } from "./CommandError.js"

/** The last millisecond of the year 9999: what ISO 8601 writes with four digits, and a UUIDv7 can hold. */
const last = 253_402_300_799_999

/**
 * The instant that the clock says, as it is stored: a whole millisecond from 1970 to 9999, so that it is read back from every
 * column and text. Everything that stores an instant takes it from here. A clock that says anything else fails it with a
 * `StorageError`, before something is written; to recover, set the clock right.
 *
 * @since 0.1.0
 * @category accessors
 */
export const currentInstant: Effect.Effect<DateTime.Utc, StorageError> = Effect.flatMap(
  Clock.currentTimeMillis,
  (millis) => {
    // Not -0.
    const whole = Math.floor(millis) + 0
    return whole >= 0 && whole <= last ? Effect.succeed(DateTime.unsafeMake(whole)) : unusable(millis)
  }
)

const unusable = (millis: number) =>
  new StorageError({
    reason: "other",
    operation: "clock",
    cause: new Error(`the clock says ${millis} ms since 1970, which is no instant from 1970 to 9999; set it right`)
  })
