import type { ClockFinding, Drift, Position } from "@caravel/domain"
import { inconsistentEvent } from "@caravel/domain/adapter"
import { DateTime, Duration } from "effect"
import { positionOf } from "./DamagedRows.js"

/** The latest instant that there is in JavaScript, in milliseconds since 1970. */
const latestInstant = 8.64e15

/**
 * Finds events that are earlier than the event before them, and events with a wrong `latestAt`. Events are added in
 * order.
 */
export class ClockCheck {
  private readonly limit: number
  private readonly report: (drift: Drift) => void
  private previous = -Infinity
  private latest = -Infinity
  private found: Array<ClockFinding> = []

  constructor(tolerance: Duration.Duration, report: (drift: Drift) => void) {
    this.limit = Duration.toMillis(tolerance)
    this.report = report
  }

  /** Adds an event. Imported events keep the instants of their source, so these are not reported. */
  add(position: Position, createdAt: number, latestAt: number | null, isImported: boolean): void {
    // The event is damaged, which is reported elsewhere.
    if (positionOf(position) === 0 || Math.abs(createdAt) > latestInstant) return
    const expected = this.latest > createdAt ? this.latest : null
    if (latestAt !== expected) this.report(inconsistentEvent(position, "latestAt", expected, latestAt))
    if (createdAt < this.previous - this.limit && !isImported) {
      this.found.push({
        _tag: "ClockJump",
        position,
        createdAt: DateTime.unsafeMake(createdAt),
        previous: DateTime.unsafeMake(this.previous)
      })
    }
    this.previous = createdAt
    this.latest = Math.max(this.latest, createdAt)
  }

  /** Returns the findings since the last call. */
  take(): ReadonlyArray<ClockFinding> {
    return this.found.splice(0)
  }
}
