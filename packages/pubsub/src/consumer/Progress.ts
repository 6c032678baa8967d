import type { Position } from "@caravel/domain"
import { Effect } from "effect"
import type { LocalSignals } from "./LocalSignals.js"
import type { ToPark } from "./Parking.js"

/** The position up to which a run has handled activities, and what of it is written. */
export class Progress {
  /** Everything up to this position is done. */
  position: Position
  /** The position of the checkpoint. */
  written: Position
  /** Failed activities that are parked with the next checkpoint. They are done: the checkpoint may pass them with it. */
  readonly failed: Array<ToPark> = []
  private readonly signals: LocalSignals
  private waiter: { readonly until: () => boolean; readonly wake: () => void } | undefined

  constructor(position: Position, signals: LocalSignals) {
    this.position = position
    this.written = position
    this.signals = signals
  }

  /** Called for every activity, so it must be cheap. */
  advance(position: Position): void {
    if (position > this.position) this.position = position
    if (this.waiter !== undefined) this.check()
  }

  /** Call this before the position passes the activity. */
  park(activity: ToPark): void {
    this.failed.push(activity)
    this.check()
  }

  /** Call this once the checkpoint is written, and the first `parked` failed activities with it. */
  commit(position: Position, parked = 0): void {
    this.failed.splice(0, parked)
    this.written = position
    if (position > this.position) this.position = position
    this.signals.changed.notify()
  }

  /** Wakes the fiber that writes the checkpoint if its condition holds. */
  readonly check = (): void => {
    if (this.waiter?.until() !== true) return
    const { wake } = this.waiter
    this.waiter = undefined
    wake()
  }

  /** Completes once there is something to write. */
  readonly dirty = this.wait(() => this.position > this.written || this.failed.length > 0)

  /** Completes once a fiber waits for a position that is handled and not yet written. */
  readonly wanted = this.wait(() => {
    if (this.position === this.written) return false
    for (const { position } of this.signals.awaited) {
      if (position > this.written && position <= this.position) return true
    }
    return false
  })

  /** Only one fiber waits at a time: the one that writes the checkpoint. */
  private wait(until: () => boolean): Effect.Effect<void> {
    return Effect.async((resume) => {
      if (until()) return resume(Effect.void)
      this.waiter = { until, wake: () => resume(Effect.void) }
      return Effect.sync(() => {
        this.waiter = undefined
      })
    })
  }
}
