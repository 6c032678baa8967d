/** Handlers of batches: order, failures, and what a stop leaves. */
import type { Activity } from "@caravel/domain"
import { Consumer } from "@caravel/pubsub"
import { expect } from "@effect/vitest"
import { type Array as Arr, Deferred, Effect, Fiber, type Layer, Schedule } from "effect"
import { activities, caughtUp, headOf, log, modes, parkedPositions, positions, relays, times } from "./consumer.js"
import { type Services, specs } from "./fixture.js"

const name = "c"
const from = "beginning"
const retry = Schedule.stop

type Call = Arr.NonEmptyReadonlyArray<Activity>

/** A handler of batches that records the calls that succeed, and how often each activity was passed to it. */
class BatchRecorder {
  readonly calls: Array<Call> = []
  readonly tries = new Map<number, number>()
  private readonly fails: (activity: Activity) => boolean

  constructor(fails: (activity: Activity) => boolean = () => false) {
    this.fails = fails
  }

  get positions() {
    return this.calls.flat().map(({ position }) => position)
  }

  readonly handleBatch = (call: Call) =>
    Effect.suspend(() => {
      for (const { position } of call) this.tries.set(position, (this.tries.get(position) ?? 0) + 1)
      const culprit = call.find(this.fails)
      if (culprit !== undefined) return Effect.fail(`no ${culprit.position}`)
      this.calls.push(call)
      return Effect.void
    })
}

const sorted = (positions: ReadonlyArray<number>) => [...positions].sort((a, b) => a - b)

export const batches = <E>(layer: Layer.Layer<Services, E>) => {
  const test = specs(layer)

  for (const options of modes) {
    const isConcurrent = options.concurrency !== undefined

    test(
      `several activities of a page are handled in one call, in order: ${JSON.stringify(options)}`,
      Effect.gen(function*() {
        yield* relays(2)
        yield* log(times(40, (n) => `r${n % 2}`))
        const { calls, handleBatch } = new BatchRecorder()
        yield* Effect.fork(Consumer.run({ name, from, handleBatch, batchSize: 7, ...options }))
        yield* caughtUp()
        const all = yield* activities()
        expect(Math.max(...calls.map(({ length }) => length))).toBe(7)
        for (const resourceId of new Set(all.map(({ resourceId }) => resourceId))) {
          expect(calls.flat().filter((activity) => activity.resourceId === resourceId)).toEqual(
            all.filter((activity) => activity.resourceId === resourceId)
          )
        }
        if (isConcurrent) {
          expect(calls.map((call) => new Set(call.map(({ resourceId }) => resourceId)).size)).toEqual(
            calls.map(() => 1)
          )
        } else expect(calls.flat()).toEqual(all)
        // A single activity does not wait for others.
        yield* log(["r0"])
        yield* caughtUp()
        expect(calls.at(-1)!.length).toBe(1)
      })
    )

    test(
      `of a call that fails, only the culprit is retried and parked: ${JSON.stringify(options)}`,
      Effect.gen(function*() {
        yield* relays(1)
        yield* log(times(30))
        const all = yield* positions()
        const culprits = [all[4]!, all[5]!, all[20]!]
        const seen = new BatchRecorder(({ position }) => culprits.includes(position))
        yield* Effect.fork(Consumer.run({
          name,
          from,
          retry: Schedule.recurs(1),
          onFailure: "park",
          handleBatch: seen.handleBatch,
          batchSize: 10,
          ...options
        }))
        yield* caughtUp()
        expect(yield* parkedPositions).toEqual(culprits)
        for (const { activity, attempts, error } of yield* Consumer.parked(name)) {
          expect([attempts, error]).toEqual([2, `no ${activity.position}`])
        }
        expect(sorted(seen.positions)).toEqual(all.filter((position) => !culprits.includes(position)))
        expect(culprits.map((position) => seen.tries.get(position))).toEqual([3, 3, 3])
        expect(Math.max(...seen.tries.values())).toBe(3)
      })
    )

    test(
      `later activities of a parked activity's resource are parked, and those of others are handled in order: ${
        JSON.stringify(options)
      }`,
      Effect.gen(function*() {
        yield* relays(3)
        yield* log(times(60, (n) => `r${n % 3}`))
        const all = yield* activities()
        const of = (resourceId: string) => all.filter((activity) => activity.resourceId === resourceId)
        const bad = of("r1")[3]!.position
        const seen = new BatchRecorder(({ position }) => position === bad)
        const { handleBatch } = seen
        const run = Consumer.run({
          name,
          from,
          retry,
          onFailure: "parkResource",
          handleBatch,
          batchSize: 8,
          ...options
        })
        yield* Effect.fork(run)
        yield* caughtUp()
        expect(yield* parkedPositions).toEqual(of("r1").slice(3).map(({ position }) => position))
        for (const resourceId of ["r0", "r2"]) {
          expect(seen.calls.flat().filter((activity) => activity.resourceId === resourceId)).toEqual(of(resourceId))
        }
        expect(new Set(seen.positions).size).toBe(seen.positions.length)
      })
    )

    test(
      `a consumer that is stopped between two calls continues with the second: ${JSON.stringify(options)}`,
      Effect.gen(function*() {
        yield* relays(1)
        yield* log(times(20))
        const all = yield* positions({ resourceId: "r0" })
        const reached = yield* Deferred.make<void>()
        const handled: Array<number> = []
        const run = (stopsAt: number) =>
          Consumer.run({
            name,
            from,
            filter: { resourceId: "r0" },
            stopTimeout: 0,
            batchSize: 6,
            handleBatch: (call) => {
              if (handled.length === stopsAt) return Effect.zipRight(Deferred.succeed(reached, undefined), Effect.never)
              for (const { position } of call) handled.push(position)
              return Effect.void
            },
            ...options
          })
        const fiber = yield* Effect.fork(run(6))
        yield* Deferred.await(reached)
        yield* Fiber.interrupt(fiber)
        expect((yield* Consumer.lag(name)).position).toBe(all[5])
        yield* Effect.fork(run(Infinity))
        yield* caughtUp()
        expect(handled).toEqual(all)
      })
    )
  }

  test(
    "a consumer has either a handler of activities or one of batches",
    Effect.gen(function*() {
      const handle = () => Effect.void
      for (const handlers of [{}, { handle, handleBatch: handle }, { handleBatch: handle, batchSize: 0 }]) {
        const run = Consumer.run({ name, from, ...handlers } as Consumer.Options<never, never>)
        expect((yield* Effect.flip(run))._tag).toBe("ParseError")
      }
      expect(yield* headOf).toBe(0)
    })
  )
}
