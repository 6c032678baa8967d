import type { Position } from "@caravel/domain"
import { Effect } from "effect"

/** Counts notifications. A fiber that reads the count before it checks a condition misses no later notification. */
export class Signal {
  count = 0
  private readonly waiting = new Set<() => void>()

  readonly notify = (): void => {
    this.count++
    for (const wake of this.waiting) wake()
    this.waiting.clear()
  }

  /** Completes once the count is greater than `count`. */
  after(count: number): Effect.Effect<void> {
    return Effect.async((resume) => {
      if (this.count > count) return resume(Effect.void)
      const wake = () => resume(Effect.void)
      this.waiting.add(wake)
      return Effect.sync(() => this.waiting.delete(wake))
    })
  }
}

/** Signals between fibers of this process that use the same consumer. Processes communicate through the database. */
export class LocalSignals {
  /** The checkpoint or a lease has changed. */
  readonly changed = new Signal()
  /** The lease may have been taken from its owner by a reset. */
  readonly revoked = new Signal()
  /** A fiber of this process has requested a replay. */
  readonly requested = new Signal()
  /** The positions that fibers wait for. */
  readonly awaited = new Set<{ readonly position: Position }>()
  /** The number of runs of the consumer in this process: at most one holds the lease, the others wait for it. */
  runs = 0
  /**
   * The run that holds the lease, if it is in this process. `check` makes it write the checkpoint if a fiber waits for
   * it.
   */
  progress: { readonly check: () => void } | undefined
}
