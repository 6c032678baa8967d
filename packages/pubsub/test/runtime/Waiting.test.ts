import { Waiting } from "@caravel/pubsub"
import { expect, it } from "@effect/vitest"
import { Clock, Effect, Schedule, TestClock } from "effect"

it.effect("a retry waits in real time, and the retried effect keeps the program's clock", () =>
  Effect.gen(function*() {
    yield* TestClock.setTime(42)
    const times: Array<number> = []
    const attempt = Effect.flatMap(Clock.currentTimeMillis, (time) => {
      times.push(time)
      return times.length < 3 ? Effect.fail("away") : Effect.succeed("there")
    })
    const retried = Waiting.retryWhile((error: string) => error === "away", Schedule.spaced("1 millis"))
    expect(yield* retried(attempt)).toBe("there")
    expect(times).toEqual([42, 42, 42])
  }))

it.effect("a retry ends once no patience is left", () =>
  Effect.gen(function*() {
    let attempts = 0
    const attempt = Effect.suspend(() => Effect.fail(++attempts))
    const retried = Waiting.retryWhile(() => true, Schedule.spaced("1 millis"))
    expect(yield* Effect.flip(retried(attempt, { remaining: () => 3 - attempts }))).toBe(3)
  }))
