/** Only one process at a time runs a consumer, whatever happens to other processes and to clocks. */
import { Position } from "@caravel/domain"
import { Consumer, ConsumerStore } from "@caravel/pubsub"
import { expect } from "@effect/vitest"
import { type Clock, Deferred, Duration, Effect, Fiber, type Layer, Option, TestClock } from "effect"
import {
  activities,
  caughtUp,
  headOf,
  log,
  positions,
  readUntil,
  Recorder,
  relays,
  timed,
  times,
  until
} from "./consumer.js"
import type { Services } from "./fixture.js"

const name = "c"

const store = ConsumerStore.ConsumerStore

const holdingOf = (name: string) =>
  Effect.flatMap(
    Effect.flatMap(store, (store) => store.leases.holding(name, "run")),
    Effect.orDie
  )
const holding = holdingOf(name)

/** Takes the lease over as another process would, even if it is held, and renewed meanwhile. */
export const seize = (consumer = name, owner = "other") =>
  Effect.gen(function*() {
    const { leases } = yield* store
    const acquire = Effect.flatMap(holdingOf(consumer), (seen) => leases.acquire(consumer, "run", seen, owner))
    return Option.getOrThrow(yield* Effect.orDie(Effect.repeat(acquire, { until: Option.isSome })))
  })

/** A consumer that another process runs. */
const foreign = Effect.gen(function*() {
  yield* (yield* store).checkpoints.register(name, Position.make(0), {})
  return yield* seize()
})

/** Reads from the storage a few times, so that waiting fibers get their answers meanwhile. */
const answers = Effect.flatMap(store, (store) => Effect.repeatN(store.leases.holding(name, "run"), 5))

/** Moves the clock in steps, between which waiting fibers run. */
const pass = (duration: Duration.DurationInput, step: Duration.DurationInput = "1 second") =>
  Effect.repeatN(
    Effect.zipRight(TestClock.adjust(step), answers),
    Math.round(Duration.toMillis(duration) / Duration.toMillis(step)) - 1
  )

/** Moves the clock by up to a minute until a condition holds: a slow storage answers waiting fibers later. */
export const passUntil = (condition: () => boolean) =>
  Effect.map(
    Effect.repeat(pass("1 second"), { until: condition, times: 59 }),
    () => expect(condition(), `${condition} within a minute`).toBe(true)
  )

/** Runs an effect with the test's clock and a wall clock that jumps at every reading. */
const jumping = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.flatMap(Effect.clock, (clock) => {
    let looks = 0
    const millis = () => clock.unsafeCurrentTimeMillis() + [0, 1e9, 1e5, 5e9][looks++ % 4]!
    const jumpy: Clock.Clock = Object.assign(Object.create(clock), {
      currentTimeMillis: Effect.sync(millis),
      unsafeCurrentTimeMillis: millis
    })
    return Effect.withClock(effect, jumpy)
  })

const takeover = <E>(layer: Layer.Layer<Services, E>) => {
  const test = timed(layer)

  test(
    "only one of several runs handles activities, and when it ends the next continues at once",
    Effect.gen(function*() {
      yield* relays(1)
      const seen = new Recorder()
      const owners = new Set<number>()
      const fibers = yield* Effect.forEach([0, 1, 2], (n) =>
        Effect.fork(Consumer.run({
          name,
          from: "beginning",
          handle: (activity) => Effect.zipRight(Effect.sync(() => owners.add(n)), seen.handle(activity))
        })))
      for (let rest = 3; rest > 0; rest--) {
        yield* log(times(3))
        yield* caughtUp()
        expect(owners.size).toBe(4 - rest)
        const last = [...owners].at(-1)!
        yield* Fiber.interrupt(fibers[last]!)
      }
      expect(seen.positions).toEqual(yield* positions())
      expect((yield* Consumer.lag(name)).owner).toBe(null)
    })
  )

  test(
    "a lease that is not renewed for its duration is taken over, and a lease that is renewed is not",
    Effect.gen(function*() {
      yield* relays(1)
      const lease = yield* foreign
      const seen = new Recorder()
      yield* Effect.fork(Consumer.run({ name, from: "beginning", handle: seen.handle, leaseDuration: "10 seconds" }))
      for (let n = 0; n < 5; n++) {
        yield* pass("9 seconds")
        yield* Effect.flatMap(store, (store) => store.leases.renew(lease))
      }
      yield* pass("9 seconds")
      expect(seen.activities).toEqual([])
      yield* passUntil(() => seen.activities.length === 2)
      expect((yield* holding).fence).toBe(lease.fence + 1)
    })
  )

  test(
    "a released lease is acquired at once",
    Effect.gen(function*() {
      yield* relays(1)
      const lease = yield* foreign
      yield* Effect.flatMap(store, (store) => store.leases.release(lease))
      yield* Effect.fork(Consumer.run({ name, from: "beginning", handle: () => Effect.void }))
      yield* caughtUp()
      const again = yield* Effect.flip(Effect.flatMap(store, (store) => store.leases.renew(lease)))
      expect(again._tag).toBe("LeaseLost")
    })
  )

  test(
    "the lease is renewed while a handler is busy",
    Effect.gen(function*() {
      yield* relays(1)
      const first = new Recorder()
      const second = new Recorder()
      const started = yield* Deferred.make<void>()
      const owner = yield* Effect.fork(Consumer.run({
        name,
        from: "beginning",
        stopTimeout: 0,
        handle: (activity) =>
          first.handle(activity).pipe(
            Effect.zipRight(Deferred.succeed(started, undefined)),
            Effect.zipRight(Effect.never)
          )
      }))
      yield* Deferred.await(started)
      yield* Effect.fork(Consumer.run({ name, from: "beginning", handle: second.handle }))
      yield* pass("2 minutes")
      expect([first.activities.length, second.activities.length]).toEqual([1, 0])
      yield* Fiber.interrupt(owner)
      yield* caughtUp()
      expect(second.positions).toEqual(yield* positions())
    })
  )

  test(
    "wall clocks that jump do not move a lease",
    Effect.gen(function*() {
      yield* relays(1)
      const seen = new Recorder()
      const others = new Recorder()
      const run = (recorder: Recorder) => jumping(Consumer.run({ name, from: "beginning", handle: recorder.handle }))
      const owner = yield* Effect.fork(run(seen))
      yield* Consumer.awaitPosition(name, yield* headOf)
      const { fence } = yield* holding
      yield* Effect.fork(run(others))
      for (let n = 0; n < 10; n++) {
        yield* pass("7 seconds")
        yield* log(["r0"])
        yield* caughtUp()
      }
      expect((yield* holding).fence).toBe(fence)
      expect(others.activities).toEqual([])
      expect(seen.positions).toEqual(yield* positions())
      yield* Fiber.interrupt(owner)
      yield* log(["r0"])
      yield* caughtUp()
      expect(others.activities.length).toBe(1)
    })
  )
}

const zombies = <E>(layer: Layer.Layer<Services, E>) => {
  const test = timed(layer)

  test(
    "a transactional consumer that is interrupted has not moved its checkpoint",
    Effect.gen(function*() {
      yield* relays(3)
      const begun = new Recorder()
      const owner = yield* Effect.fork(Consumer.run({
        name,
        from: "beginning",
        stopTimeout: 0,
        transactional: true,
        handle: (activity) => Effect.zipRight(begun.handle(activity), Effect.never)
      }))
      yield* until(() => begun.activities.length === 1)
      // During its transaction, no other process can write and take the lease over.
      yield* Fiber.interrupt(owner)
      expect((yield* Consumer.lag(name)).position).toBe(0)
    })
  )

  const ways: ReadonlyArray<{
    readonly concurrency?: number
    readonly handlerTimeout?: "1 hour"
    readonly onFailure?: "parkResource"
  }> = [
    {},
    { concurrency: 3 },
    { handlerTimeout: "1 hour" },
    { concurrency: 3, handlerTimeout: "1 hour" },
    { onFailure: "parkResource" }
  ]
  for (const options of ways) {
    test(
      `a run that has lost its lease moves nothing, parks nothing and stops its handlers: ${JSON.stringify(options)}`,
      Effect.gen(function*() {
        yield* relays(3)
        const gate = yield* Deferred.make<void>()
        const begun = new Recorder()
        const interrupted = new Set<number>()
        const fails = "onFailure" in options
        const zombie = yield* Effect.fork(Consumer.run({
          name,
          from: "beginning",
          stopTimeout: 0,
          handle: (activity) =>
            begun.handle(activity).pipe(
              Effect.zipRight(Deferred.await(gate)),
              Effect.zipRight(fails ? Effect.fail("no") : Effect.void),
              Effect.onInterrupt(() => Effect.sync(() => interrupted.add(activity.position)))
            ),
          ...options
        }))
        yield* until(() => begun.activities.length === (options.concurrency ?? 1))
        const before = yield* Consumer.lag(name)
        yield* seize()
        if (fails) yield* Deferred.succeed(gate, undefined)
        yield* pass("4 seconds")
        // A slow storage answers the renewal later.
        if (!fails) {
          yield* readUntil(() => interrupted.size === begun.positions.length)
          expect([...interrupted]).toEqual(begun.positions)
        }
        // The run waits for the lease.
        expect(Option.isNone(yield* Fiber.poll(zombie))).toBe(true)
        const { owner: _, ...after } = yield* Consumer.lag(name)
        const { owner: __, ...same } = before
        expect(after).toEqual({ ...same, seconds: after.seconds })
        expect(yield* Consumer.parked(name)).toEqual([])
      })
    )
  }

  test(
    "a consumer that takes over from one that was killed while it retried, and is stopped, has not halted",
    Effect.gen(function*() {
      yield* relays(1)
      const port = yield* store
      yield* port.checkpoints.recordFailure(yield* foreign, Position.make(1), 3, "no")
      for (const stopTimeout of ["1 minute", 0] as const) {
        const begun = yield* Deferred.make<void>()
        const opened = yield* Deferred.make<void>()
        const running = yield* Effect.fork(Consumer.run({
          name,
          from: "beginning",
          stopTimeout,
          handle: () =>
            Deferred.succeed(begun, undefined).pipe(
              Effect.zipRight(Deferred.await(opened)),
              Effect.zipRight(Effect.fail("no"))
            )
        }))
        yield* Effect.raceFirst(Deferred.await(begun), Effect.forever(pass("1 second")))
        const stopped = yield* Effect.fork(Fiber.interrupt(running))
        yield* Effect.yieldNow()
        yield* Deferred.succeed(opened, undefined)
        yield* Fiber.join(stopped)
        expect(yield* Consumer.lag(name)).toMatchObject({ status: "stopped", attempts: 0, lastError: "no" })
        // The next one takes over from another that was killed.
        yield* port.checkpoints.recordFailure(yield* seize(), Position.make(1), 3, "no")
      }
    })
  )

  test(
    "every write checks the fence, and every move also the position",
    Effect.gen(function*() {
      yield* relays(2)
      const port = yield* store
      const [activity] = yield* activities()
      const head = Position.make(yield* headOf)
      const zero = Position.make(0)
      const old = yield* foreign
      const lease = yield* seize(name, "another")
      const writes = (lease: ConsumerStore.Lease) => [
        port.leases.renew(lease),
        port.checkpoints.move(lease, zero, head),
        port.checkpoints.recordFailure(lease, head, 1, "no"),
        Effect.asVoid(port.parking.park(lease, [{ activity: activity!, attempts: 1, error: "no" }])),
        port.parking.unpark(lease, head)
      ]
      const before = yield* port.checkpoints.find(name)
      for (const stale of [old, { ...lease, fence: lease.fence + 1 }, { ...lease, task: "replay" as const }]) {
        for (const write of writes(stale)) {
          expect((yield* Effect.flip(write))._tag).toBe("LeaseLost")
        }
      }
      yield* port.leases.release(old)
      expect(yield* port.checkpoints.find(name)).toEqual(before)
      const one = Position.make(1)
      expect((yield* Effect.flip(port.checkpoints.move(lease, one, head)))._tag).toBe("LeaseLost")
      yield* port.checkpoints.move(lease, zero, head)
      expect((yield* Effect.flip(port.checkpoints.move(lease, zero, one)))._tag).toBe("LeaseLost")
      // After a commit of unknown outcome, the move is repeated.
      yield* port.checkpoints.move(lease, zero, head)
      expect(Option.getOrThrow(yield* port.checkpoints.find(name))).toMatchObject({
        position: head,
        owner: "another",
        parked: 0
      })
      // A lease that has changed since it was read cannot be acquired.
      const seen = yield* holding
      yield* port.leases.renew(lease)
      expect(yield* port.leases.acquire(name, "run", seen, "late")).toEqual(Option.none())
      yield* port.leases.release(lease)
      for (const write of writes(lease)) {
        expect((yield* Effect.flip(write))._tag).toBe("LeaseLost")
      }
      expect(yield* port.leases.acquire("nobody", "run", seen, "late")).toEqual(Option.none())
    })
  )
}

export const leasing = <E>(layer: Layer.Layer<Services, E>) => {
  takeover(layer)
  zombies(layer)
}
