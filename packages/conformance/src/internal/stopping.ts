/** How consumers stop: handlers may finish within the stop timeout, and the lease is kept until they have. */
import { Consumer, ConsumerStore, Waiting } from "@caravel/pubsub"
import { expect } from "@effect/vitest"
import { Deferred, Effect, Fiber, type Layer, Option, Schedule, TestClock } from "effect"
import { caughtUp, log, modes, parkedPositions, positions, Recorder, relays, timed, times, until } from "./consumer.js"
import { type Services, specs } from "./fixture.js"

const name = "c"
const from = "beginning"
const retry = Schedule.stop

const holding = (task: ConsumerStore.Task) =>
  Effect.flatMap(
    ConsumerStore.ConsumerStore,
    (store) => Effect.map(store.leases.holding(name, task), Option.getOrThrow)
  )

export const stopping = <E>(layer: Layer.Layer<Services, E>) => {
  const test = specs(layer)
  const slow = timed(layer)

  for (const options of modes) {
    test(
      `an interrupted consumer lets running handlers end, starts no others, and keeps the lease meanwhile: ${
        JSON.stringify(options)
      }`,
      Effect.gen(function*() {
        yield* relays(6)
        const count = options.concurrency ?? 1
        const gate = yield* Deferred.make<void>()
        const begun = new Recorder()
        const ended = new Recorder()
        const running = yield* Effect.fork(Consumer.run({
          name,
          from,
          handle: (activity) =>
            begun.handle(activity).pipe(
              Effect.zipRight(Deferred.await(gate)),
              Effect.zipRight(ended.handle(activity))
            ),
          ...options
        }))
        yield* until(() => begun.activities.length === count)
        const stopped = yield* Effect.fork(Fiber.interrupt(running))
        yield* Effect.repeatN(Effect.yieldNow(), 50)
        if (options.transactional !== true) expect((yield* holding("run")).owner).not.toBe(null)
        expect(Option.isNone(yield* Fiber.poll(stopped))).toBe(true)
        yield* Deferred.succeed(gate, undefined)
        yield* Fiber.join(stopped)
        const done = (yield* positions()).slice(0, count)
        expect([begun.positions, ended.positions]).toEqual([done, done])
        expect(yield* Consumer.lag(name)).toMatchObject({
          position: done.at(-1),
          owner: null,
          attempts: 0,
          lastError: null
        })
      })
    )

    slow(
      `a handler that does not end in time is interrupted, and lag reports it: ${JSON.stringify(options)}`,
      Effect.gen(function*() {
        yield* relays(2)
        const begun = new Recorder()
        const run = (stopTimeout: "5 seconds" | undefined) =>
          Effect.fork(Consumer.run({
            name,
            from: 1,
            filter: { activityType: "create_relay", resourceId: "r0" },
            stopTimeout,
            handle: (activity) => Effect.zipRight(begun.handle(activity), Effect.never),
            ...options
          }))
        for (const stopTimeout of [undefined, "5 seconds"] as const) {
          begun.activities.length = 0
          const running = yield* run(stopTimeout)
          yield* until(() => begun.activities.length === 1)
          const stopped = yield* Effect.fork(Fiber.interrupt(running))
          yield* Effect.repeatN(Effect.yieldNow(), 50)
          yield* TestClock.adjust("4999 millis")
          expect(Option.isNone(yield* Fiber.poll(stopped))).toBe(true)
          yield* TestClock.adjust("1 millis")
          yield* Fiber.join(stopped)
          const lag = yield* Consumer.lag(name)
          expect(lag).toMatchObject({ position: 1, attempts: 0, failedPosition: 2, owner: null })
          expect(lag.lastError).toBe(
            "StopTimeout: the handler was interrupted because it had not ended 5s after the consumer was stopped"
          )
        }
      })
    )
  }

  slow(
    "the lease is renewed until the handler has ended, however long its interruption takes",
    Effect.gen(function*() {
      yield* relays(1)
      const gate = yield* Deferred.make<void>()
      const begun = new Recorder()
      const first = yield* Effect.fork(Consumer.run({
        name,
        from,
        stopTimeout: 0,
        handle: (activity) => Effect.uninterruptible(Effect.zipRight(begun.handle(activity), Deferred.await(gate)))
      }))
      yield* until(() => begun.activities.length === 1)
      const seen = new Recorder()
      yield* Effect.fork(Consumer.run({ name, from, handle: seen.handle }))
      const { heartbeat } = yield* holding("run")
      yield* Effect.fork(Fiber.interrupt(first))
      for (let n = 0; n < 60; n++) {
        yield* TestClock.adjust("1 second")
        yield* Effect.repeatN(holding("run"), 5)
      }
      expect((yield* holding("run")).heartbeat).toBeGreaterThanOrEqual(heartbeat + 10)
      expect(seen.activities).toEqual([])
      yield* Deferred.succeed(gate, undefined)
      yield* caughtUp()
      expect(seen.activities.length).toBeGreaterThan(0)
    })
  )

  test(
    "a consumer that halts lets handlers of other resources end",
    Effect.gen(function*() {
      yield* relays(2)
      const gate = yield* Deferred.make<void>()
      const ended = new Recorder()
      const running = yield* Effect.fork(Consumer.run({
        name,
        from: 1,
        retry,
        concurrency: 2,
        handle: (activity) =>
          activity.resourceId === "r1"
            ? Effect.fail("no")
            : Effect.zipRight(Deferred.await(gate), ended.handle(activity))
      }))
      yield* Effect.repeat(Consumer.lag(name).pipe(Effect.orElseSucceed(() => ({ attempts: 0 }))), {
        until: ({ attempts }) => attempts === 1
      })
      yield* Deferred.succeed(gate, undefined)
      expect(yield* Effect.flip(Fiber.join(running))).toMatchObject({ _tag: "ConsumerHalted", position: 3 })
      expect(ended.positions).toEqual([2])
      expect(yield* Consumer.lag(name)).toMatchObject({ position: 2, attempts: 1, failedPosition: 3 })
    })
  )

  test(
    "a consumer that halts interrupts handlers that have not ended in time, within timeouts, too",
    Effect.gen(function*() {
      yield* relays(2)
      const begun = yield* Deferred.make<void>()
      const run = Consumer.run({
        name,
        from: 1,
        retry,
        concurrency: 2,
        handlerTimeout: "1 hour",
        stopTimeout: 0,
        handle: (activity) =>
          activity.resourceId === "r1"
            ? Effect.zipRight(Deferred.await(begun), Effect.fail("no"))
            : Effect.zipRight(Deferred.succeed(begun, undefined), Effect.never)
      })
      expect(yield* Effect.flip(run)).toMatchObject({ _tag: "ConsumerHalted", position: 3 })
    })
  )

  test(
    "an interrupted replay lets its handler end",
    Effect.gen(function*() {
      yield* relays(3)
      yield* Effect.fork(Consumer.run({ name, from, retry, onFailure: "park", handle: () => Effect.fail("no") }))
      yield* caughtUp()
      const gate = yield* Deferred.make<void>()
      const begun = new Recorder()
      const replay = yield* Effect.fork(
        Consumer.replay({ name, handle: (activity) => Effect.zipRight(begun.handle(activity), Deferred.await(gate)) })
      )
      yield* until(() => begun.activities.length === 1)
      const stopped = yield* Effect.fork(Fiber.interrupt(replay))
      yield* Effect.repeatN(Effect.yieldNow(), 50)
      expect((yield* holding("replay")).owner).not.toBe(null)
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.join(stopped)
      expect(yield* parkedPositions).toEqual((yield* positions()).slice(1))
      expect(begun.positions).toEqual([1])
    })
  )

  // A transactional handler's transaction keeps other processes from taking the lease over.
  for (const options of modes.filter(({ transactional }) => transactional !== true)) {
    slow(
      `nothing more is handled once the lease may have expired, not even on the same page: ${JSON.stringify(options)}`,
      Effect.gen(function*() {
        yield* relays(1)
        yield* log(times(20))
        const store = yield* ConsumerStore.ConsumerStore
        const clock = yield* Effect.clock
        // The process is suspended in a handler for longer than its lease lasts, and another process takes over.
        let standstill = 0n
        const monotonic = Object.assign(Object.create(clock), {
          unsafeCurrentTimeNanos: () => clock.unsafeCurrentTimeNanos() + standstill
        })
        const takenOver = Effect.gen(function*() {
          // Its owner may renew the lease between the two.
          const acquire = Effect.flatMap(holding("run"), (seen) => store.leases.acquire(name, "run", seen, "other"))
          yield* Effect.repeat(acquire, { until: Option.isSome })
          standstill = 60_000_000_000n
        })
        const seen = new Recorder()
        const running = yield* Effect.fork(
          Consumer.run({
            name,
            from,
            handle: (activity) =>
              Effect.zipRight(seen.handle(activity), activity.position === 3 ? takenOver : Effect.void),
            ...options
          }).pipe(Effect.provideService(Waiting.Waiting, monotonic))
        )
        yield* until(() => standstill > 0n)
        yield* Effect.repeatN(holding("run"), 20)
        expect(seen.positions).toEqual([1, 2, 3])
        expect(Option.isNone(yield* Fiber.poll(running))).toBe(true)
        const { owner, position } = yield* Consumer.lag(name)
        expect(owner).toBe("other")
        // Before the takeover, its first owner may have written a checkpoint.
        expect(position).toBeLessThan(3)
      })
    )
  }
}
