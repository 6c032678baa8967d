import type { Position } from "@caravel/domain"
import { Effect } from "effect"

/** A count of what has happened, and who waits for more: what is counted before somebody waits is not missed. */
export class Signal {
  count = 0
  private readonly waiting = new Set<() => void>()

  readonly notify = (): void => {
    this.count++
    for (const wake of this.waiting) wake()
    this.waiting.clear()
  }

  /** Completes once the count is beyond. */
  beyond(count: number): Effect.Effect<void> {
    return Effect.async((resume) => {
      if (this.count > count) return resume(Effect.void)
      const wake = () => resume(Effect.void)
      this.waiting.add(wake)
      return Effect.sync(() => this.waiting.delete(wake))
    })
  }
}

/** What the fibers of this process tell one another about a consumer; between processes there is the database. */
export class Local {
  /** Its checkpoint or a lease of it has changed. */
  readonly changed = new Signal()
  /** The lease may have been taken from its owner on purpose. */
  readonly revoked = new Signal()
  /** Somebody in this process has requested a replay. */
  readonly requested = new Signal()
  /** Positions that somebody waits for. */
  readonly awaited = new Set<{ readonly position: Position }>()
  /** How many runs of it there are in this process: one of them handles, the others wait for their turn. */
  runs = 0
  /** The run that holds the lease, if it is in this process: it looks whether somebody waits for what it has done. */
  progress: { readonly check: () => void } | undefined
}
