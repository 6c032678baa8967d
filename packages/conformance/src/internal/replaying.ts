/** Replays of parked activities, and resets of a consumer. */
import type { Activity } from "@caravel/domain"
import { Consumer, ConsumerStore } from "@caravel/pubsub"
import { expect } from "@effect/vitest"
import { Deferred, Effect, Fiber, type Layer, Schedule } from "effect"
import {
  caughtUp,
  gate,
  headOf,
  log,
  modes,
  parkedPositions,
  positions,
  Recorder,
  relays,
  times,
  until
} from "./consumer.js"
import { type Services, specs } from "./fixture.js"

const name = "c"
const from = "beginning"
const retry = Schedule.stop

/** Parks everything, by a consumer whose handler fails. */
const parkAll = Effect.zipRight(
  Effect.fork(Consumer.run({ name, from, retry, onFailure: "park", handle: () => Effect.fail("no") })),
  caughtUp()
)

export const replaying = <E>(layer: Layer.Layer<Services, E>) => {
  const test = specs(layer)

  for (const options of modes) {
    test(
      `activities keep their order if others arrive during a replay: ${JSON.stringify(options)}`,
      Effect.gen(function*() {
        yield* relays(2)
        yield* log(times(10))
        const handled: Array<number> = []
        let curing = false
        const handle = (activity: Activity) =>
          Effect.gen(function*() {
            if (!curing && activity.resourceId === "r0") return yield* Effect.fail("not yet")
            for (let n = activity.position % 5; n > 0; n--) yield* Effect.yieldNow()
            if (activity.resourceId === "r0") handled.push(activity.position)
          })
        yield* Effect.fork(Consumer.run({ name, from, retry, onFailure: "parkResource", handle, ...options }))
        yield* caughtUp()
        curing = true
        const writer = yield* Effect.fork(Effect.repeatN(Effect.zipRight(log(["r0", "r1"]), Effect.yieldNow()), 60))
        for (let n = 0; n < 3; n++) {
          yield* Consumer.replay({ name, handle, transactional: options.transactional })
          curing = false
          yield* log(["r0"])
          yield* caughtUp()
          curing = true
        }
        yield* Fiber.join(writer)
        yield* caughtUp()
        yield* Consumer.replay({ name, handle, transactional: options.transactional })
        yield* caughtUp()
        expect(yield* Consumer.parked(name)).toEqual([])
        expect(handled).toEqual(yield* positions({ resourceId: "r0" }))
      })
    )
  }

  for (const onFailure of ["park", "parkResource"] as const) {
    test(
      `an activity that is parked during a replay, before others of its resource, is replayed first: ${onFailure}`,
      Effect.gen(function*() {
        yield* relays(3)
        yield* log(["r0", "r1", "r0", ...times(100, "r1"), ...times(3, "r0")])
        const of = (resourceId: string) => positions({ resourceId, after: 4 })
        const go = yield* Deferred.make<void>()
        const [first] = yield* of("r0")
        yield* Effect.fork(Consumer.run({
          name,
          from: 4,
          concurrency: 2,
          onFailure,
          retry,
          handle: ({ position }) =>
            Effect.zipRight(position === first ? Deferred.await(go) : Effect.void, Effect.fail("no"))
        }))
        const parkedAre = (count: number) =>
          Effect.repeat(Effect.zipRight(Effect.yieldNow(), Effect.orElseSucceed(Consumer.parked(name), () => [])), {
            until: (parked) => parked.length === count
          })
        // All activities of r1 are parked while the first of r0 is being handled.
        const others = yield* of("r1")
        yield* parkedAre(others.length)
        const seen = new Recorder()
        yield* Consumer.replay({
          name,
          handle: (activity) =>
            Effect.zipRight(
              seen.handle(activity),
              activity.position !== others[0]
                ? Effect.void
                : Effect.zipRight(Deferred.succeed(go, undefined), caughtUp())
            )
        })
        expect(seen.positions.filter((position) => others.includes(position as never))).toEqual(others)
        expect(seen.activities.filter(({ resourceId }) => resourceId === "r0").map(({ position }) => position))
          .toEqual(yield* of("r0"))
        expect(yield* parkedPositions).toEqual([])
      })
    )
  }

  for (const options of modes) {
    test(
      `a requested replay is done by the process that runs the consumer, now or later: ${JSON.stringify(options)}`,
      Effect.gen(function*() {
        yield* relays(2)
        yield* log(["r0", "r1", "r0"])
        const recorder = new Recorder()
        let curing = false
        const run = Effect.fork(Consumer.run({
          name,
          from,
          retry,
          onFailure: "parkResource",
          handle: recorder.failing(({ resourceId }) => !curing && resourceId === "r0"),
          ...options
        }))
        const running = yield* run
        yield* caughtUp()
        const parked = yield* parkedPositions
        expect(parked.length).toBe(3)

        yield* Consumer.requestReplay(name)
        expect(yield* parkedPositions).toEqual(parked)
        curing = true
        yield* Effect.all([Consumer.requestReplay(name), Consumer.requestReplay(name)], { concurrency: "unbounded" })
        expect(yield* parkedPositions).toEqual([])
        expect(recorder.positions.filter((position) => parked.includes(position))).toEqual(parked)

        curing = false
        yield* log(["r0"])
        yield* caughtUp()
        yield* Fiber.interrupt(running)
        curing = true
        const request = yield* Effect.fork(Consumer.requestReplay(name))
        yield* Effect.yieldNow()
        expect((yield* parkedPositions).length).toBe(1)
        yield* run
        yield* Fiber.join(request)
        expect(yield* parkedPositions).toEqual([])
        expect(yield* Effect.flip(Consumer.requestReplay("nobody"))).toMatchObject({ _tag: "ConsumerNotFound" })
      })
    )
  }

  test(
    "an activity that waits to be parked is parked when the consumer is stopped",
    Effect.gen(function*() {
      yield* relays(2)
      yield* log(["r0", "r0", "r1"])
      const [bad, behind, last] = (yield* positions()).slice(-3)
      const reached = yield* Deferred.make<void>()
      const run = (handle: (activity: Activity) => Effect.Effect<unknown, string>) =>
        Effect.fork(Consumer.run({ name, from, retry, onFailure: "parkResource", stopTimeout: 0, handle }))
      const fiber = yield* run(({ position }) =>
        position === bad
          ? Effect.fail("no")
          : position === last
          ? Effect.zipRight(Deferred.succeed(reached, undefined), Effect.never)
          : Effect.void
      )
      yield* Deferred.await(reached)
      yield* Fiber.interrupt(fiber)
      expect((yield* Consumer.lag(name)).position).toBe(behind)
      expect(yield* parkedPositions).toEqual([bad, behind])
      yield* run(() => Effect.void)
      yield* caughtUp()
      expect(yield* parkedPositions).toEqual([bad, behind])
    })
  )

  test(
    "activities that wait behind parked ones are handled in order if those are dropped meanwhile",
    Effect.gen(function*() {
      yield* relays(2)
      const bad = yield* headOf
      const { open, pass, reached } = yield* gate
      const seen = new Recorder()
      yield* Effect.fork(Consumer.run({
        name,
        from,
        retry,
        onFailure: "parkResource",
        handle: (activity) =>
          activity.position === bad
            ? Effect.fail("no")
            : Effect.zipRight(
              seen.handle(activity),
              Effect.when(pass, () => seen.positions.length === bad + 1)
            )
      }))
      yield* caughtUp()
      expect(yield* parkedPositions).toEqual([bad])
      yield* log(["r0", "r1", "r1", "r0", "r1", "r0", "r1"])
      yield* reached
      yield* (yield* ConsumerStore.ConsumerStore).parking.drop(name)
      yield* open
      yield* caughtUp()
      expect(yield* parkedPositions).toEqual([])
      for (const relay of ["r0", "r1"]) {
        const handled = seen.activities.filter(({ resourceId }) => resourceId === relay).map(({ position }) => position)
        expect(handled).toEqual((yield* positions({ resourceId: relay })).filter((position) => position !== bad))
      }
    })
  )

  for (const options of [{}, { transactional: true }]) {
    test(
      `what is dropped while a replay waits to retry is not handled: ${JSON.stringify(options)}`,
      Effect.gen(function*() {
        yield* relays(3)
        yield* parkAll
        const calls: Array<number> = []
        const replay = yield* Effect.fork(Consumer.replay({
          name,
          retry: Schedule.spaced("50 millis"),
          handle: ({ position }) => Effect.zipRight(Effect.sync(() => calls.push(position)), Effect.fail("no")),
          ...options
        }))
        yield* until(() => calls.length > 0)
        expect(yield* Consumer.drop(name)).toBe(4)
        expect(yield* Fiber.join(replay)).toEqual({ replayed: 0, failed: 0 })
        expect(new Set(calls)).toEqual(new Set([1]))
      })
    )
  }

  test(
    "concurrent replays handle each parked activity once",
    Effect.gen(function*() {
      yield* relays(3)
      yield* log(times(30, (n) => `r${n % 3}`))
      yield* parkAll
      const seen = new Recorder()
      const replay = Consumer.replay({
        name,
        handle: (activity) => Effect.zipRight(Effect.yieldNow(), seen.handle(activity))
      })
      const results = yield* Effect.all([replay, replay, replay], { concurrency: "unbounded" })
      expect(seen.positions).toEqual(yield* positions())
      expect(results.map(({ replayed }) => replayed).sort()).toEqual([0, 0, seen.activities.length].sort())
    })
  )

  test(
    "a replay reaches activities behind many that fail again",
    Effect.gen(function*() {
      yield* relays(70)
      yield* parkAll
      const all = yield* positions()
      const seen = new Recorder()
      // More than are read at a time.
      const handle = seen.failing(({ position }) => position < all.at(-3)!)
      expect(yield* Consumer.replay({ name, handle })).toEqual({ replayed: 3, failed: all.length - 3 })
      expect(seen.positions).toEqual(all.slice(-3))
    })
  )

  test(
    "an interrupted replay leaves the remaining activities parked",
    Effect.gen(function*() {
      yield* relays(5)
      yield* parkAll
      const all = yield* positions()
      const reached = yield* Deferred.make<void>()
      const replay = yield* Effect.fork(Consumer.replay({
        name,
        stopTimeout: 0,
        handle: ({ position }) =>
          position === all[2] ? Effect.zipRight(Deferred.succeed(reached, undefined), Effect.never) : Effect.void
      }))
      yield* Deferred.await(reached)
      yield* Fiber.interrupt(replay)
      expect(yield* parkedPositions).toEqual(all.slice(2))
      expect(yield* Consumer.replay({ name, handle: () => Effect.void })).toEqual({
        replayed: all.length - 2,
        failed: 0
      })
    })
  )

  for (const options of modes) {
    test(
      `a running consumer can be moved backward and forward: ${JSON.stringify(options)}`,
      Effect.gen(function*() {
        yield* relays(2)
        yield* log(times(20, (n) => `r${n % 2}`))
        const all = yield* positions()
        const head = yield* headOf
        const seen = new Recorder()
        yield* Effect.fork(Consumer.run({
          name,
          from,
          retry,
          onFailure: "park",
          handle: seen.failing(({ position }) => position === all[1] || position === all[9]),
          ...options
        }))
        yield* caughtUp()
        seen.activities.length = 0
        yield* Consumer.reset(name, all[4]!)
        yield* until(() => seen.activities.length === all.length - 6)
        yield* caughtUp()
        expect([...seen.positions].sort((a, b) => a - b)).toEqual(all.filter((_, index) => index > 4 && index !== 9))
        expect(yield* parkedPositions).toEqual([all[1], all[9]])
        seen.activities.length = 0
        yield* Consumer.reset(name, head)
        // The run continues until it has noticed the reset.
        yield* Effect.repeat(Effect.zipLeft(Consumer.lag(name), Effect.yieldNow()), {
          until: ({ owner }) => owner !== null
        })
        yield* log(["r0", "r0", "r0", "r1"])
        yield* caughtUp()
        expect(seen.positions.sort((a, b) => a - b)).toEqual(yield* positions({ after: head }))
        for (
          const failing of [
            Consumer.reset("x", 0),
            Effect.asVoid(Consumer.drop("x")),
            Effect.asVoid(Consumer.parked("x")),
            Effect.asVoid(Consumer.replay({ name: "x", handle: () => Effect.void }))
          ]
        ) {
          const error = yield* Effect.flip(failing)
          expect(error._tag).toBe("ConsumerNotFound")
          expect(error.message).toContain("There is no consumer \"x\"")
        }
      })
    )
  }
}
