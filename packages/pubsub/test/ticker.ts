import { Clock, Duration, Effect } from "effect"

/**
 * A clock that a test moves. Unlike `TestClock`, it needs no real time to see that all fibers wait, which pays off in
 * thousands of tests.
 */
export class Ticker {
  private now = 0
  private readonly sleeping = new Set<{ readonly at: number; readonly wake: () => void }>()

  readonly clock: Clock.Clock = Object.assign(Clock.make(), {
    currentTimeMillis: Effect.sync(() => this.now),
    currentTimeNanos: Effect.sync(() => BigInt(this.now) * 1_000_000n),
    unsafeCurrentTimeMillis: () => this.now,
    unsafeCurrentTimeNanos: () => BigInt(this.now) * 1_000_000n,
    sleep: (duration: Duration.Duration) =>
      Effect.async<void>((resume) => {
        const sleeper = { at: this.now + Duration.toMillis(duration), wake: () => resume(Effect.void) }
        if (sleeper.at <= this.now) return sleeper.wake()
        this.sleeping.add(sleeper)
        return Effect.sync(() => this.sleeping.delete(sleeper))
      })
  })

  advance(millis: number): void {
    this.now += millis
    for (const sleeper of this.sleeping) {
      if (sleeper.at > this.now) continue
      this.sleeping.delete(sleeper)
      sleeper.wake()
    }
  }
}
