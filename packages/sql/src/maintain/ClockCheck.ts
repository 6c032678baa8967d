import { type ClockFinding, type Drift, inconsistentEvent, type Position } from "@caravel/domain"
import { DateTime, Duration } from "effect"

/** Where the clocks of events went back, and whether events keep the instant that the journal had come to; added in order. */
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

  /** The instants that imported events have are of elsewhere, and no finding. */
  add(position: Position, createdAt: number, latestAt: number | null, isImported: boolean): void {
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

  /** What has been found since the last time. */
  take(): ReadonlyArray<ClockFinding> {
    return this.found.splice(0)
  }
}
