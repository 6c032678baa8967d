/** How often what is unavailable is tried again: at once, then ever more slowly up to an interval, with jitter. */
import { type Duration, Schedule } from "effect"

const exponentialUpTo = (first: Duration.DurationInput, longest: Duration.DurationInput, factor?: number) =>
  Schedule.jittered(Schedule.union(Schedule.exponential(first, factor), Schedule.spaced(longest)))

/**
 * Until a journal can be read, or a consumer's checkpoint written: every 5 seconds in the end.
 *
 * @since 0.1.0
 * @category schedules
 */
export const untilAvailable = exponentialUpTo("20 millis", "5 seconds")

/**
 * Until a connection that listens for notifications is open again: every 2 seconds in the end.
 *
 * @since 0.1.0
 * @category schedules
 */
export const untilReconnected = exponentialUpTo("20 millis", "2 seconds")

/**
 * Until a database server can be reached, while a caller waits: every 250 milliseconds in the end.
 *
 * @since 0.1.0
 * @category schedules
 */
export const untilReachable = exponentialUpTo("10 millis", "250 millis")

/**
 * Until a batch of commands can be committed: every 250 milliseconds in the end.
 *
 * @since 0.1.0
 * @category schedules
 */
export const untilCommitted = exponentialUpTo("5 millis", "250 millis")

/**
 * Until another process has released the lock of a database file: every 25 milliseconds in the end.
 *
 * @since 0.1.0
 * @category schedules
 */
export const untilUnlocked = exponentialUpTo("1 millis", "25 millis", 1.5)
