import { Effect, Function } from "effect"
import { onceExpired } from "./Patience.js"

/** Restores the interruptibility that an effect had outside an uninterruptible region. */
export type Restore = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

/** A FIFO mutex. A semaphore would suspend the fiber even if the mutex is free, which costs 1.3 µs more in a loop. */
export class Mutex {
  private isHeld = false
  private readonly waiting = new Set<Effect.Latch>()

  /** Whether fibers wait for the mutex. */
  get isContended(): boolean {
    return this.waiting.size > 0
  }

  /** Acquires the mutex if it is free. */
  tryAcquire(): boolean {
    if (this.isHeld) return false
    this.isHeld = true
    return true
  }

  /** Waits for the mutex. Interruption takes effect at once; a mutex that was acquired meanwhile is passed on. */
  acquire(restore: Restore): Effect.Effect<void> {
    return Effect.suspend(() =>
      this.tryAcquire() ? Effect.void : this.wait(Effect.unsafeMakeLatch(), restore, Function.constFalse)
    )
  }

  /**
   * The same, but fails with `expired` once `remaining`, which is checked again after that many milliseconds, is no
   * longer positive.
   */
  acquireWithin<E>(restore: Restore, remaining: () => number, expired: E): Effect.Effect<void, E> {
    return Effect.suspend(() => {
      if (this.tryAcquire()) return Effect.void
      const latch = Effect.unsafeMakeLatch()
      let isExpired = false
      const stop = onceExpired(remaining, () => {
        // Otherwise it was passed on to this fiber, which has not run since.
        isExpired = this.waiting.delete(latch)
        latch.unsafeOpen()
      })
      return this.wait(latch, restore, () => isExpired).pipe(
        Effect.onExit(() => Effect.sync(stop)),
        Effect.flatMap(() => isExpired ? Effect.fail(expired) : Effect.void)
      )
    })
  }

  private wait(latch: Effect.Latch, restore: Restore, hasGivenUp: () => boolean): Effect.Effect<void> {
    this.waiting.add(latch)
    return Effect.onInterrupt(
      restore(latch.await),
      () =>
        Effect.sync(() => {
          if (!this.waiting.delete(latch) && !hasGivenUp()) this.release()
        })
    )
  }

  /** Passes the mutex to the first fiber that waits, or frees it. */
  release(): void {
    const [next] = this.waiting
    this.isHeld = next !== undefined && this.waiting.delete(next)
    next?.unsafeOpen()
  }

  /** Resumes all waiting fibers without the mutex: each must check that the mutex was dismissed. */
  dismiss(): void {
    for (const latch of this.waiting) latch.unsafeOpen()
    this.waiting.clear()
  }
}
