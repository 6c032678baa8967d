import { nextTurn } from "@caravel/domain/adapter"
import { Backoff, Waiting } from "@caravel/pubsub"
import { expect, it } from "@effect/vitest"
import { Effect, Random } from "effect"
import { Ticker } from "../ticker.js"

/** The number of attempts in each of five seconds. */
const attempts = (seed: string) => {
  const ticker = new Ticker()
  let millis = 0
  const counts = [0, 0, 0, 0, 0]
  const attempt = Effect.suspend(() => {
    counts[Math.floor(millis / 1000)]!++
    return Effect.fail("locked")
  })
  return Effect.gen(function*() {
    yield* Effect.fork(Waiting.retryWhile(() => true, Backoff.untilUnlocked)(attempt))
    while (millis < 4999) {
      yield* nextTurn
      ticker.advance(1)
      millis++
    }
    return counts
  }).pipe(Effect.scoped, Effect.withRandom(Random.make(seed)), Effect.provideService(Waiting.Waiting, ticker.clock))
}

it.live("a lock is waited for with few attempts at first, and with many before the caller's time is over", () =>
  Effect.gen(function*() {
    for (const seed of ["a", "b", "c"]) {
      const [first, ...others] = yield* attempts(seed)
      expect(first).toBeGreaterThan(40)
      expect(first).toBeLessThan(80)
      for (const count of others) expect(count).toBeGreaterThan(300)
    }
  }))
