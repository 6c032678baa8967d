import type { Position } from "@caravel/domain"
import { Effect } from "effect"
import type { Local } from "./Local.js"

/** How far a run has come, how far of that is written, and who waits to write the rest. */
export class Progress {
  /** Everything up to here is done. */
  position: Position
  /** Where the checkpoint stands. */
  written: Position
  private readonly local: Local
  private waiter: { readonly until: () => boolean; readonly wake: () => void } | undefined

  constructor(position: Position, local: Local) {
    this.position = position
    this.written = position
    this.local = local
  }

  /** Called for every activity: it must cost next to nothing. */
  advance(position: Position): void {
    this.position = position
    if (this.waiter !== undefined) this.check()
  }

  /** The checkpoint has been moved. */
  commit(position: Position): void {
    this.written = position
    if (position > this.position) this.position = position
    this.local.changed.notify()
  }

  readonly check = (): void => {
    if (this.waiter?.until() !== true) return
    const { wake } = this.waiter
    this.waiter = undefined
    wake()
  }

  /** Completes once there is something to write. */
  readonly dirty = this.wait(() => this.position > this.written)

  /** Completes once there is something to write that somebody waits for. */
  readonly wanted = this.wait(() => {
    if (this.position === this.written) return false
    for (const { position } of this.local.awaited) {
      if (position > this.written && position <= this.position) return true
    }
    return false
  })

  /** Only one fiber waits: the one that writes. */
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
