import type { ClockFinding, Drift, Position, Verification } from "@caravel/domain"
import { positionOf } from "./DamagedRows.js"

/** What a verification has counted so far, and what it has found since its last step. */
export class Findings {
  readonly counts = { events: 0, tenants: 0, relays: 0, secrets: 0 }
  private readonly head: Position
  private differences: Array<Drift> = []
  private clocks: ReadonlyArray<ClockFinding>

  constructor(head: Position, clocks: ReadonlyArray<ClockFinding>) {
    this.head = head
    this.clocks = clocks
  }

  /** Adds a drift. If its event has a number that is no position, only `resourceId` has that number. */
  readonly report = (drift: Drift): void =>
    void this.differences.push({ ...drift, position: positionOf(drift.position) })

  reportClocks(clocks: ReadonlyArray<ClockFinding>): void {
    this.clocks = this.clocks.concat(clocks)
  }

  /** Returns the next step of the verification. */
  take(): Verification {
    const { clocks, counts, differences, head } = this
    this.differences = []
    this.clocks = []
    return { ...counts, head, differences, clocks }
  }
}
