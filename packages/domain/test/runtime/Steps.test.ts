import { nextTurn, runInTurns } from "@caravel/domain/adapter"
import { expect, it } from "@effect/vitest"
import { Effect, Either, Fiber } from "effect"

const millis = 6

/** A computation that takes its full time in each step. */
function* work(steps: number) {
  for (let step = 0; step < steps; step++) {
    const until = performance.now() + millis
    while (performance.now() < until);
    yield
  }
  return Either.right("done")
}

it.live("a long computation lets sockets have their turns, even while another fiber yields all the time", () =>
  Effect.gen(function*() {
    const steps = 20
    // Node starves sockets only in some runs.
    for (let round = 0; round < 8; round++) {
      let turns = 0
      let isDone = false
      const turn = () => {
        turns++
        if (!isDone) setImmediate(turn)
      }
      setImmediate(turn)
      const yielding = yield* Effect.fork(Effect.forever(Effect.yieldNow()))
      yield* Effect.onExit(runInTurns(work(steps)), () => Effect.sync(() => isDone = true))
      yield* Fiber.interrupt(yielding)
      expect(turns).toBeGreaterThanOrEqual(steps - 1)
    }
  }))

it.effect("the next turn comes in real time", () =>
  Effect.gen(function*() {
    let turns = 0
    setImmediate(() => turns++)
    yield* nextTurn
    expect(turns).toBe(1)
  }))
