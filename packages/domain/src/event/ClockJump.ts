/** Wrong clocks: how they are detected in the journal and reported. */
import { Array as Arr, Clock, DateTime, Duration, Effect, Metric, Option } from "effect"
import type { Position } from "../model/Activity.js"
import type { RecordedEvent } from "./Event.js"

/**
 * An event whose instant is earlier than its predecessor's by more than the clocks' tolerance: one of the two clocks was
 * wrong, or one clock was set back between them.
 *
 * @since 0.1.0
 * @category models
 */
export interface ClockJump {
  readonly _tag: "ClockJump"
  readonly position: Position
  readonly createdAt: DateTime.Utc
  /** The instant of the previous event. */
  readonly previous: DateTime.Utc
}

/**
 * The clock of this process differs from the database server's by more than the tolerance.
 *
 * @since 0.1.0
 * @category models
 */
export interface ClockOffset {
  readonly _tag: "ClockOffset"
  /** How far this process is ahead of the server, in milliseconds; negative if it is behind. */
  readonly millis: number
}

/**
 * A finding about clocks. Nothing is repaired: events keep their instants.
 *
 * @since 0.1.0
 * @category models
 */
export type ClockFinding = ClockJump | ClockOffset

/**
 * The default tolerance for differences between clocks: five minutes.
 *
 * @since 0.1.0
 * @category constants
 */
export const defaultClockTolerance: Duration.Duration = Duration.minutes(5)

/**
 * The clock jumps in consecutive events. `previous` is the instant of the event before the first, in milliseconds;
 * `-Infinity` if there is none.
 *
 * @since 0.1.0
 * @category accessors
 */
export const clockJumps = (
  events: ReadonlyArray<RecordedEvent>,
  previous: number,
  tolerance: Duration.Duration
): ReadonlyArray<ClockJump> => {
  let jumps: Array<ClockJump> | undefined
  let last = previous
  const limit = Duration.toMillis(tolerance)
  for (const { createdAt, position } of events) {
    if (createdAt.epochMillis < last - limit) {
      jumps ??= []
      jumps.push({ _tag: "ClockJump", position, createdAt, previous: DateTime.unsafeMake(last) })
    }
    last = createdAt.epochMillis
  }
  return jumps ?? noJumps
}

const noJumps: ReadonlyArray<ClockJump> = []

/**
 * Describes a finding, and what to do about it.
 *
 * @since 0.1.0
 * @category accessors
 */
export const clockMessage = (finding: ClockFinding): string => {
  if (finding._tag === "ClockOffset") {
    const direction = finding.millis > 0 ? "ahead of" : "behind"
    return `The clock of this process is ${spanOf(Math.abs(finding.millis))} ${direction} the database server's. ` +
      "Synchronize both clocks: the events that this process writes carry its own."
  }
  const { createdAt, position, previous } = finding
  return `The event at position ${position} has the instant ${DateTime.formatIso(createdAt)}, ` +
    `${spanOf(previous.epochMillis - createdAt.epochMillis)} earlier than that of the previous event. ` +
    "One of the two was written by a wrong clock: synchronize the clocks of all processes, and check the bills of that time."
}

const spanOf = (millis: number) => Duration.format(Duration.millis(millis)).split(" ").slice(0, 2).join(" ")

const findings = Metric.counter("caravel_clock_findings_total", {
  description: "clocks found to be wrong: jumps between events, and offsets from the database server's clock",
  incremental: true
})

const counters = {
  ClockJump: Metric.tagged(findings, "kind", "jump"),
  ClockOffset: Metric.tagged(findings, "kind", "offset")
}

/**
 * The time without further logging after a warning, in nanoseconds. If the clocks of two processes disagree, every
 * event may be a jump.
 */
const quiet = 60_000_000_000n

/** The only clock that is never set back: the machine's monotonic clock. */
const monotonic = Clock.make()

/**
 * Returns a function that counts findings and logs them as warnings: only the last finding of each report, and at most
 * one report per minute.
 *
 * @since 0.1.0
 * @category constructors
 */
export const makeClockReport = (): (found: ReadonlyArray<ClockFinding>) => Effect.Effect<void> => {
  let quietUntil = 0n
  return (found) =>
    Option.match(Arr.last(found), {
      onNone: () => Effect.void,
      onSome: (last) =>
        Effect.gen(function*() {
          yield* Metric.incrementBy(counters[last._tag], found.length)
          const now = monotonic.unsafeCurrentTimeNanos()
          if (now < quietUntil) return
          quietUntil = now + quiet
          yield* Effect.logWarning(clockMessage(last))
        })
    })
}
