import { expect, it } from "@effect/vitest"
import { Clock, Effect, Schedule, TestClock } from "effect"
import * as Patience from "../../src/statement/Patience.js"
import { retryWhile } from "../../src/statement/Retry.js"

it.effect("what is outside of the program is waited for in real time, and the program keeps its own clock", () =>
  Effect.gen(function*() {
    yield* TestClock.setTime(42)
    const times: Array<number> = []
    const attempt = Effect.flatMap(Clock.currentTimeMillis, (time) => {
      times.push(time)
      return times.length < 3 ? Effect.fail("away") : Effect.succeed("there")
    })
    const patiently = retryWhile((error: string) => error === "away", Schedule.spaced("1 millis"))
    expect(yield* patiently(attempt, Patience.make())).toBe("there")
    expect(times).toEqual([42, 42, 42])
  }))
