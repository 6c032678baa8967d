/** Which activities consumers handle: all that pass their filters, in order, across restarts. */
import { type Activity, ActivityType, Command, Position } from "@caravel/domain"
import { Consumer, ConsumerStore } from "@caravel/pubsub"
import { expect } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, type Layer, Option } from "effect"
import { activities, caughtUp, headOf, log, positions, Recorder, relays, times, until } from "./consumer.js"
import { alice, at, bob, invoke, type Services, specs } from "./fixture.js"

const name = "c"

export const following = <E>(layer: Layer.Layer<Services, E>) => {
  const test = specs(layer)

  test(
    "a consumer handles all activities from the beginning, then new ones, once and in order",
    Effect.gen(function*() {
      const seen = new Recorder()
      yield* relays(2)
      yield* log(times(700, (n) => `r${n % 2}`))
      yield* Effect.fork(Consumer.run({ name, from: "beginning", handle: seen.handle }))
      yield* caughtUp()
      for (let n = 0; n < 20; n++) yield* log(["r0"])
      yield* caughtUp()
      expect(seen.positions).toEqual(yield* positions())
    })
  )

  test(
    "a consumer begins at any position, or now, only when it is first run",
    Effect.gen(function*() {
      yield* relays(1)
      yield* log(times(4))
      const before = yield* positions()
      const once = (name: string, from: "beginning" | "now" | number) =>
        Effect.gen(function*() {
          const seen = new Recorder()
          const fiber = yield* Effect.fork(Consumer.run({ name, from, handle: seen.handle }))
          yield* caughtUp(name)
          yield* Fiber.interrupt(fiber)
          return seen.positions
        })
      expect(yield* once("old", "beginning")).toEqual(before)
      for (const after of before) {
        expect(yield* once(`after ${after}`, after)).toEqual(before.filter((n) => n > after))
      }
      expect(yield* once("new", "now")).toEqual([])
      yield* log(["r0"])
      const [last] = yield* positions({ after: before[before.length - 1]! })
      for (const from of ["beginning", "now", 1] as const) {
        expect(yield* once("old", from)).toEqual(from === "beginning" ? [last] : [])
      }
      expect(yield* once("new", "beginning")).toEqual([last])
    })
  )

  for (const options of [{}, { transactional: true }, { concurrency: 3 }, { transactional: true, concurrency: 3 }]) {
    test(
      `a consumer that was stopped at any moment continues where it was: ${JSON.stringify(options)}`,
      Effect.gen(function*() {
        const seen = new Recorder()
        yield* relays(5)
        const writer = yield* Effect.fork(
          Effect.forEach(times(60), () => Effect.zipRight(log(times(5, (n) => `r${n}`)), Effect.yieldNow()))
        )
        for (let round = 0; round < 25; round++) {
          const target = seen.activities.length + (round * 7) % 11
          const fiber = yield* Effect.fork(Consumer.run({
            name,
            from: "beginning",
            handle: (activity) => Effect.tap(Effect.yieldNow(), () => seen.handle(activity)),
            ...options
          }))
          yield* Effect.raceFirst(
            until(() => seen.activities.length >= target),
            Effect.zipRight(Fiber.join(writer), caughtUp())
          )
          expect(Exit.isInterrupted(yield* Fiber.interrupt(fiber))).toBe(true)
        }
        yield* Fiber.join(writer)
        yield* Effect.fork(Consumer.run({ name, from: "now", handle: seen.handle, ...options }))
        yield* caughtUp()
        const all = yield* positions()
        if (options.transactional !== true) {
          // Activities that were handled but not yet written to the checkpoint are handled again.
          expect(new Set(seen.positions)).toEqual(new Set(all))
          expect([...seen.positions].sort((a, b) => a - b).filter((n, index, all) => n !== all[index - 1])).toEqual(all)
        } else if (seen.positions.length === all.length) {
          expect(seen.positions).toEqual(all)
        } else {
          // The recorder is not transactional: it may see an activity again whose transaction was rolled back.
          expect([...new Set(seen.positions)]).toEqual(all)
        }
      })
    )
  }

  test(
    "a consumer filters by tenant, type and resource, and its checkpoint moves past excluded activities",
    Effect.gen(function*() {
      const command = yield* Command
      yield* relays(3)
      yield* command.createTenant({ pubkey: bob })
      yield* command.createRelay({ id: "other", tenant: bob, subdomain: "other" })
      yield* log(times(600, (n) => n % 50 === 0 ? "other" : `r${n % 3}`))
      yield* invoke("deactivateRelay", [{ id: "other" }])
      yield* log(times(300))
      const filters = [
        { tenant: bob },
        { resourceId: "r1" },
        { activityType: "deactivate_relay" as const },
        { activityType: ["create_relay", "create_tenant"] as const },
        { activityType: [] },
        { tenant: alice, resourceId: "other" },
        { tenant: bob, activityType: "activate_relay" as const, resourceId: "other" }
      ]
      for (const [n, filter] of filters.entries()) {
        const seen = new Recorder()
        const fiber = yield* Effect.fork(Consumer.run({ name: `${n}`, from: "beginning", filter, handle: seen.handle }))
        yield* caughtUp(`${n}`)
        expect(seen.positions).toEqual(yield* positions(filter))
        yield* Fiber.interrupt(fiber)
        expect(yield* Consumer.lag(`${n}`)).toMatchObject({ position: (yield* headOf) + 1, activities: 0, seconds: 0 })
      }
      for (const activityType of ActivityType.literals) {
        const all = (yield* activities()).filter((activity) => activity.activityType === activityType)
        expect(yield* positions({ activityType })).toEqual(all.map(({ position }) => position))
      }
    })
  )

  test(
    "a malformed name, position, filter or other option is a ParseError",
    Effect.gen(function*() {
      const run = (options: object) =>
        Effect.flip(Consumer.run({ name, from: "beginning", handle: () => Effect.void, ...options }))
      const malformed = [
        { name: "" },
        { name: 5 },
        { name: "x".repeat(257) },
        { name: "a\0b" },
        { from: -1 },
        { from: 0.5 },
        { filter: { tenant: "x" } },
        { filter: { activityType: "x" } },
        { filter: { resourceId: "" } },
        { filter: { resource: "r1" } },
        { from: "end" },
        { handle: 5 },
        { onFailure: "prak" },
        { transactional: "yes" },
        { stopTimout: 0 },
        ...[0, -1, 1.5, Number.NaN, 1e6, Infinity, "2"].map((concurrency) => ({ concurrency })),
        ...[0, -1, Number.NaN, Infinity, "soon", "5 millis"].map((leaseDuration) => ({ leaseDuration })),
        ...[-1, Number.NaN, "soon"].map((stopTimeout) => ({ stopTimeout })),
        ...[0, -1, Number.NaN, "soon"].map((handlerTimeout) => ({ handlerTimeout }))
      ]
      for (const options of malformed) expect([options, (yield* run(options))._tag]).toEqual([options, "ParseError"])
      expect((yield* Effect.flip(Consumer.awaitPosition(name, -1)))._tag).toBe("ParseError")
      expect((yield* Effect.flip(Consumer.awaitPosition("x".repeat(257), 0)))._tag).toBe("ParseError")
      expect(yield* Consumer.list).toEqual([])
      yield* (yield* ConsumerStore.ConsumerStore).checkpoints.register(name, Position.make(0), {})
      for (const options of malformed) {
        expect([options, (yield* run({ ...options }))._tag]).toEqual([options, "ParseError"])
      }
      for (const page of [{ after: -1 }, { after: 0.5 }, { limit: -1 }, { limit: Number.NaN }]) {
        expect([page, (yield* Effect.flip(Consumer.parked(name, page)))._tag]).toEqual([page, "ParseError"])
      }
      const replay = (options: object) => Effect.flip(Consumer.replay({ name, handle: () => Effect.void, ...options }))
      for (const options of [{ leaseDuration: 0 }, { stopTimeout: -1 }, { handlerTimeout: 0 }, { filter: {} }]) {
        expect([options, (yield* replay(options))._tag]).toEqual([options, "ParseError"])
      }
      expect((yield* Effect.flip(Consumer.drop(name, [-1])))._tag).toBe("ParseError")
      expect((yield* Effect.flip(Consumer.reset(name, -1)))._tag).toBe("ParseError")
    })
  )

  test(
    "a name of 256 characters works like any other",
    Effect.gen(function*() {
      const longest = "\uffff".repeat(256)
      yield* relays(1)
      const running = yield* Effect.fork(Consumer.run({ name: longest, from: "beginning", handle: () => Effect.void }))
      yield* caughtUp(longest)
      yield* Fiber.interrupt(running)
      expect(yield* Consumer.lag(longest)).toMatchObject({ name: longest, activities: 0, owner: null })
    })
  )

  test(
    "handlers of different resources run concurrently, and each resource keeps its order",
    Effect.gen(function*() {
      yield* relays(8)
      yield* log(times(400, (n) => `r${(n * n + 3 * n) % 8}`))
      const running = new Set<string>()
      const done = new Map<string, Array<number>>()
      let most = 0
      let turn = 0
      const handle = ({ position, resourceId }: Activity) =>
        Effect.gen(function*() {
          expect(running.has(resourceId)).toBe(false)
          running.add(resourceId)
          most = Math.max(most, running.size)
          for (let n = turn++ % 7; n > 0; n--) yield* Effect.yieldNow()
          running.delete(resourceId)
          done.set(resourceId, [...done.get(resourceId) ?? [], position])
        })
      yield* Effect.fork(Consumer.run({ name, from: "beginning", concurrency: 4, handle }))
      yield* caughtUp()
      expect(most).toBe(4)
      for (const [resourceId, handled] of done) expect(handled).toEqual(yield* positions({ resourceId }))
      expect([...done.values()].flat().length).toBe((yield* positions()).length)
    })
  )

  test(
    "with concurrent handlers, the checkpoint is the last position up to which everything is done",
    Effect.gen(function*() {
      yield* relays(4)
      yield* log(times(40, (n) => `r${n % 4}`))
      const all = yield* activities()
      const held = all.find(({ resourceId }) => resourceId === "r2")!
      const rest = all.filter(({ resourceId }) => resourceId !== "r2")
      const seen = new Recorder()
      const reached = yield* Deferred.make<void>()
      const run = Consumer.run({
        name,
        from: "beginning",
        concurrency: 3,
        stopTimeout: 0,
        handle: (activity) =>
          activity.position === held.position
            ? Effect.zipRight(Deferred.succeed(reached, undefined), Effect.never)
            : seen.handle(activity)
      })
      const fiber = yield* Effect.fork(run)
      yield* Deferred.await(reached)
      yield* until(() => seen.activities.length === rest.length)
      yield* Consumer.awaitPosition(name, held.position - 1)
      const waiting = yield* Effect.fork(Consumer.awaitPosition(name, held.position))
      yield* Fiber.interrupt(fiber)
      expect((yield* Consumer.lag(name)).position).toBe(held.position - 1)
      expect(Option.isNone(yield* Fiber.poll(waiting))).toBe(true)
      const again = new Recorder()
      yield* Effect.fork(Consumer.run({ name, from: "now", concurrency: 3, handle: again.handle }))
      yield* Fiber.join(waiting)
      yield* caughtUp()
      expect(again.activities[0]).toEqual(held)
      expect(new Set([...seen.positions, ...again.positions])).toEqual(new Set(yield* positions()))
    })
  )

  test(
    "lag returns how far behind a consumer is and when it last moved",
    Effect.gen(function*() {
      yield* relays(1)
      yield* log(times(9))
      const seen = new Recorder()
      const gate = yield* Effect.makeSemaphore(0)
      expect(yield* Effect.flip(Consumer.lag(name))).toMatchObject({ _tag: "ConsumerNotFound", consumer: name })
      yield* Effect.fork(Consumer.run({
        name,
        from: "beginning",
        filter: { resourceId: "r0" },
        handle: (activity) => Effect.zipRight(gate.take(1), seen.handle(activity))
      }))
      const [, second] = yield* positions({ resourceId: "r0" })
      yield* gate.release(2)
      yield* Consumer.awaitPosition(name, second!)
      const lag = yield* Consumer.lag(name)
      expect(lag).toMatchObject({ name, position: second, activities: 8, attempts: 0, lastError: null, parked: 0 })
      expect(lag.seconds).toBeGreaterThanOrEqual(0)
      expect(lag.owner).not.toBe(null)
      expect(lag.progressedAt).not.toBe(null)
      expect(yield* Consumer.list).toMatchObject([{ name, activities: 8 }])
      yield* gate.release(8)
      yield* caughtUp()
      expect(yield* Consumer.lag(name)).toMatchObject({ activities: 0, seconds: 0 })
    })
  )

  test(
    "lag is the age of the first activity to handle, whatever the clocks of the later ones",
    Effect.gen(function*() {
      yield* relays(1)
      yield* Consumer.handleOnce({ name, from: "now", handle: () => Effect.void })
      const activate = (hour: number) =>
        invoke("activateRelay", [{ id: "r0" }]).pipe(at(`2026-01-01T0${hour}:00:00.000Z`))
      yield* Effect.forEach([2, 1, 3], activate)
      const { seconds } = yield* Consumer.lag(name).pipe(at("2026-01-01T04:00:00.000Z"))
      expect(seconds).toBe(2 * 3600)
    })
  )

  test(
    "any number of fibers can wait for a position, even before the consumer is run, and wake once it is done",
    Effect.gen(function*() {
      yield* relays(1)
      const head = yield* headOf
      const waiting = yield* Effect.fork(
        Effect.forEach(times(20), (_, n) => Consumer.awaitPosition(name, head - n % head), { concurrency: "unbounded" })
      )
      const seen = new Recorder()
      yield* Effect.fork(Consumer.run({ name, from: "beginning", handle: seen.handle }))
      yield* Consumer.awaitPosition(name, 0)
      for (let n = 0; n < 30; n++) {
        const { position } = yield* Effect.flatMap(Command, (command) => command.activateRelay({ id: "r0" }))
        yield* Consumer.awaitPosition(name, position)
        expect(seen.positions.at(-1)).toBe(position)
      }
      yield* Fiber.join(waiting)
    })
  )
}
