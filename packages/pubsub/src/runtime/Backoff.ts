/** Schedules for retrying while something is unavailable: exponential backoff up to a maximum interval, with jitter. */
import { type Duration, Schedule } from "effect"

const exponentialUpTo = (first: Duration.DurationInput, longest: Duration.DurationInput, factor?: number) =>
  Schedule.jittered(Schedule.union(Schedule.exponential(first, factor), Schedule.spaced(longest)))

/**
 * Retries until a journal can be read or a consumer's checkpoint written. The interval grows to 5 seconds.
 *
 * @since 0.1.0
 * @category schedules
 */
export const untilAvailable = exponentialUpTo("20 millis", "5 seconds")

/**
 * Retries until a connection that listens for notifications is open again. The interval grows to 2 seconds.
 *
 * @since 0.1.0
 * @category schedules
 */
export const untilReconnected = exponentialUpTo("20 millis", "2 seconds")

/**
 * Retries until a database server can be reached, while a caller waits. The interval grows to 250 milliseconds.
 *
 * @since 0.1.0
 * @category schedules
 */
export const untilReachable = exponentialUpTo("10 millis", "250 millis")

/**
 * Retries until a batch of commands can be committed. The interval grows to 250 milliseconds.
 *
 * @since 0.1.0
 * @category schedules
 */
export const untilCommitted = exponentialUpTo("5 millis", "250 millis")

/**
 * Retries until another process has released the lock of a database file. The interval grows to 25 milliseconds. SQLite
 * does not pass its lock on: a process that takes it again and again leaves it free for moments, which such intervals
 * miss. So after a second the interval is 2 milliseconds.
 *
 * @since 0.1.0
 * @category schedules
 */
export const untilUnlocked = Schedule.andThen(
  Schedule.upTo(exponentialUpTo("1 millis", "25 millis", 1.5), "1 second"),
  Schedule.jittered(Schedule.spaced("2 millis"))
)
