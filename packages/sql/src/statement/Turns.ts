import { Effect } from "effect"

/** Restores the interruptibility that an effect had outside an uninterruptible region. */
export type Restore = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

/** A FIFO mutex. A semaphore would suspend the fiber even if the mutex is free, which costs 1.3 µs more in a loop. */
export class Turns {
  private isTaken = false
  private readonly waiting = new Set<Effect.Latch>()

  /** Whether fibers wait for the mutex. */
  get isAwaited(): boolean {
    return this.waiting.size > 0
  }

  /** Takes the mutex if it is free. */
  tryTake(): boolean {
    if (this.isTaken) return false
    this.isTaken = true
    return true
  }

  /** Waits for the mutex. Interruption takes effect at once; a mutex that was acquired meanwhile is passed on. */
  take(restore: Restore): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (this.tryTake()) return Effect.void
      const turn = Effect.unsafeMakeLatch()
      this.waiting.add(turn)
      return Effect.onInterrupt(
        restore(turn.await),
        () =>
          Effect.sync(() => {
            if (!this.waiting.delete(turn)) this.pass()
          })
      )
    })
  }

  /** Passes the mutex to the first fiber that waits, or frees it. */
  pass(): void {
    const [next] = this.waiting
    this.isTaken = next !== undefined && this.waiting.delete(next)
    next?.unsafeOpen()
  }

  /** Resumes all waiting fibers without the mutex: each must check that no more turns are granted. */
  dismiss(): void {
    for (const turn of this.waiting) turn.unsafeOpen()
    this.waiting.clear()
  }
}
