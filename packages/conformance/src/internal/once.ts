/** Runs that stop at the head of the journal, for tests and jobs. */
import type { Activity } from "@caravel/domain"
import { Consumer } from "@caravel/pubsub"
import { expect } from "@effect/vitest"
import { Effect, type Layer } from "effect"
import { headOf, log, modes, parkedPositions, positions, Recorder, relays, timed, times } from "./consumer.js"
import { alice, type Services } from "./fixture.js"

const name = "c"
const from = "beginning"

// No test moves the clock, so a call that sleeps would not return.
export const once = <E>(layer: Layer.Layer<Services, E>) => {
  const test = timed(layer)

  for (const options of modes) {
    test(
      `handles everything up to the head at the time of the call, and returns what it did: ${JSON.stringify(options)}`,
      Effect.gen(function*() {
        yield* relays(3)
        yield* log(times(30, (n) => `r${n % 3}`))
        const all = yield* positions()
        const head = yield* headOf
        const seen = new Recorder()
        const later = options.transactional === true ? Effect.void : log(["r0"])
        const handle = (activity: Activity) =>
          Effect.zipRight(activity.position === all[9] ? later : Effect.void, seen.handle(activity))
        const once = Consumer.handleOnce({ name, from, handle, ...options })
        // The last position has no activity.
        expect(yield* once).toEqual({ handled: all.length, parked: 0, position: head + 1 })
        expect([...seen.positions].sort((a, b) => a - b)).toEqual(all)
        expect(yield* Consumer.lag(name)).toMatchObject({ position: head + 1, owner: null, status: "stopped" })
        if (options.transactional === true) yield* log(["r0"])
        expect(yield* once).toMatchObject({ handled: 1, parked: 0 })
        expect(yield* once).toMatchObject({ handled: 0, parked: 0 })
      })
    )

    test(
      `parks and halts at a failure, without a retry: ${JSON.stringify(options)}`,
      Effect.gen(function*() {
        yield* relays(2)
        yield* log(["r0", "r1", "r0", "r1"])
        const seen = new Recorder()
        const handle = seen.failing(({ position }) => position === 2)
        const once = Consumer.handleOnce({ name, from, handle, ...options })
        for (const _ of [1, 2]) {
          expect(yield* Effect.flip(once)).toMatchObject({ _tag: "ConsumerHalted", position: 2, attempts: 1 })
        }
        const parking = Consumer.handleOnce({ name, from, handle, onFailure: "parkResource", ...options })
        expect((yield* parking).parked).toBe(3)
        expect(yield* parkedPositions).toEqual(yield* positions({ resourceId: "r0" }))
        expect(new Set(seen.resources)).toEqual(new Set([alice, "r1"]))
      })
    )
  }

  test(
    "handles batches, and nothing in an empty journal",
    Effect.gen(function*() {
      const calls: Array<number> = []
      const once = Consumer.handleOnce({
        name,
        from,
        batchSize: 4,
        handleBatch: (activities) => Effect.sync(() => void calls.push(activities.length))
      })
      expect(yield* once).toEqual({ handled: 0, parked: 0, position: 0 })
      yield* relays(1)
      yield* log(times(8))
      expect((yield* once).handled).toBe(10)
      expect(calls).toEqual([4, 4, 2])
    })
  )

  test(
    "cannot be called in the consumer's own handler",
    Effect.gen(function*() {
      yield* relays(1)
      const once: Effect.Effect<Consumer.Handled, Consumer.RunError, Consumer.Consumer> = Consumer.handleOnce({
        name,
        from,
        handle: () => once
      })
      const halted = yield* Effect.flip(once)
      expect(halted.message).toContain("ConsumerWaitsForItself")
    })
  )
}
