/** Activities whose handler fails: retries, halting and parking. */
import { type Activity, Position } from "@caravel/domain"
import { Consumer, ConsumerStore } from "@caravel/pubsub"
import { expect } from "@effect/vitest"
import { Data, Deferred, type Duration, Effect, Fiber, type Layer, Schedule, TestClock } from "effect"
import {
  activities,
  caughtUp,
  gate,
  headOf,
  log,
  modes,
  parkedPositions,
  positions,
  Recorder,
  relays,
  timed,
  times,
  until
} from "./consumer.js"
import { type Services, specs } from "./fixture.js"

const name = "c"
const from = "beginning"
const retry = Schedule.stop

/** How often something was written under the lease. */
const writes = Effect.flatMap(ConsumerStore.ConsumerStore, ({ leases }) => leases.holding(name, "run")).pipe(
  Effect.flatten,
  Effect.map(({ heartbeat }) => heartbeat),
  Effect.orDie
)

class Broken extends Data.TaggedError("Broken")<{ readonly message: string }> {}

export const parking = <E>(layer: Layer.Layer<Services, E>) => {
  const test = specs(layer)
  const slow = timed(layer)

  for (const options of modes) {
    test(
      `a failed activity is retried in place by the schedule, and then the consumer halts: ${JSON.stringify(options)}`,
      Effect.gen(function*() {
        yield* relays(2)
        const all = yield* positions()
        const seen = new Recorder()
        let attempts = 0
        const bad = all[1]!
        const run = (more: object = {}) =>
          Consumer.run({
            name,
            from,
            retry: Schedule.recurs(2),
            handle: (activity) =>
              activity.position === bad
                ? Effect.suspend(() => Effect.fail(new Broken({ message: `out of order ${++attempts}` })))
                : seen.handle(activity),
            ...options,
            ...more
          })
        const error = yield* Effect.flip(run())
        expect(error).toMatchObject({ _tag: "ConsumerHalted", consumer: name, position: bad, attempts: 3 })
        expect(error.message).toContain(`Consumer c halted at position ${bad} after 3 attempts: Broken: out of order 3`)
        expect(attempts).toBe(3)
        const lag = yield* Consumer.lag(name)
        expect(lag).toMatchObject({
          failedPosition: bad,
          attempts: 3,
          lastError: "Broken: out of order 3",
          owner: null
        })
        expect(lag.position).toBeLessThan(bad)
        if (options.concurrency === undefined) expect(seen.positions).toEqual(all.filter((n) => n < bad))
        // The consumer halts there until the handler succeeds.
        expect(yield* Effect.flip(run({ retry }))).toMatchObject({ _tag: "ConsumerHalted", position: bad, attempts: 1 })
        yield* Effect.fork(run({ handle: seen.handle }))
        yield* caughtUp()
        expect(new Set(seen.positions)).toEqual(new Set(all))
        expect(yield* Consumer.lag(name)).toMatchObject({ attempts: 0, activities: 0, failedPosition: bad })
      })
    )

    test(
      `defects, exceptions and interruptions inside the handler count as failures: ${JSON.stringify(options)}`,
      Effect.gen(function*() {
        yield* relays(1)
        const run = (handle: (activity: Activity) => Effect.Effect<unknown>) =>
          Consumer.run({ name, from, retry, handle, ...options })
        const died = yield* Effect.flip(run(() => Effect.die(new Error("defect"))))
        expect(died).toMatchObject({ _tag: "ConsumerHalted", position: 1 })
        const thrown = yield* Effect.flip(run(() => {
          throw new Error("thrown")
        }))
        expect(thrown).toMatchObject({ _tag: "ConsumerHalted", position: 1 })
        expect((yield* Consumer.lag(name)).lastError).toBe("Error: thrown")
        const job = Effect.flatMap(
          Effect.fork(Effect.never),
          (job) => Effect.zipRight(Fiber.interrupt(job), Fiber.join(job))
        )
        for (const handle of [() => Effect.interrupt, () => job]) {
          expect(yield* Effect.flip(run(handle))).toMatchObject({ _tag: "ConsumerHalted", position: 1, attempts: 1 })
          expect((yield* Consumer.lag(name)).lastError).toMatch(/^Interrupted: /)
        }
        yield* Effect.fork(Consumer.run({ name, from, retry, handle: () => job, ...options, onFailure: "park" }))
        yield* caughtUp()
        expect(yield* parkedPositions).toEqual(yield* positions())
      })
    )
  }

  slow(
    "activities that fail are parked together with the checkpoint, once a fiber waits for it",
    Effect.gen(function*() {
      yield* relays(1)
      yield* log(times(2500))
      const all = yield* positions()
      const held = all.at(-2)!
      const { open, pass, reached } = yield* gate
      yield* Effect.fork(Consumer.run({
        name,
        from,
        retry,
        onFailure: "park",
        handle: ({ position }) => position === held ? pass : Effect.fail("")
      }))
      yield* reached
      expect((yield* Consumer.lag(name)).position).toBeLessThan(all.at(-3)!)
      const before = yield* writes
      yield* Consumer.awaitPosition(name, all.at(-3)!)
      yield* open
      yield* caughtUp()
      const parked = yield* Effect.orDie(
        Effect.flatMap(ConsumerStore.ConsumerStore, ({ parking }) => parking.list(name, Position.make(0), all.length))
      )
      expect(parked.map(({ activity }) => activity.position)).toEqual(all.filter((position) => position !== held))
      // Parking and the checkpoint are two writes each.
      expect((yield* writes) - before).toBeLessThan(10)
    })
  )

  slow(
    "activities that fail are parked within 100 milliseconds, also while a handler runs",
    Effect.gen(function*() {
      yield* relays(10)
      const all = yield* positions()
      const reached = yield* Deferred.make<void>()
      yield* Effect.fork(Consumer.run({
        name,
        from,
        retry,
        onFailure: "park",
        stopTimeout: 0,
        handle: ({ position }) =>
          position < all[4]! ? Effect.fail("no") : Effect.zipRight(Deferred.succeed(reached, undefined), Effect.never)
      }))
      yield* Deferred.await(reached)
      yield* Effect.raceFirst(
        Effect.repeat(parkedPositions, { until: (parked) => parked.length === 4 }),
        Effect.zipRight(TestClock.adjust("100 millis"), Effect.never)
      )
      expect((yield* Consumer.lag(name)).position).toBe(all[3])
    })
  )

  test(
    "a position up to which activities have failed and are parked can be waited for, also in the next handler",
    Effect.gen(function*() {
      yield* relays(2)
      const { open, pass, reached } = yield* gate
      let tag = ""
      yield* Effect.fork(Consumer.run({
        name,
        from,
        retry,
        onFailure: "park",
        handle: ({ position }) =>
          position === 3
            ? Effect.matchEffect(Consumer.awaitPosition(name, 2), {
              onFailure: (error) => Effect.sync(() => tag = error._tag),
              onSuccess: () => pass
            })
            : Effect.fail("no")
      }))
      yield* Consumer.awaitPosition(name, 2)
      yield* Effect.raceFirst(reached, until(() => tag !== ""))
      expect(tag).toBe("")
      yield* open
      expect(yield* parkedPositions).toEqual([1, 2])
    })
  )

  test(
    "an activity that waits for its retry keeps its attempts when others before it are free again",
    Effect.gen(function*() {
      yield* relays(2)
      const bad = yield* headOf
      const calls: Array<number> = []
      let retried: number | undefined = undefined
      const { parking } = yield* ConsumerStore.ConsumerStore
      yield* Effect.fork(Consumer.run({
        name,
        from,
        onFailure: "parkResource",
        retry: Schedule.intersect(Schedule.spaced("120 millis"), Schedule.recurs(2)),
        handle: ({ position }) =>
          Effect.gen(function*() {
            calls.push(position)
            if (position !== bad && position !== retried) return
            // So the activity before it is free.
            if (position === retried) yield* parking.drop(name)
            return yield* Effect.fail("no")
          })
      }))
      yield* caughtUp()
      expect(yield* parkedPositions).toEqual([bad])
      retried = bad + 2
      yield* log(["r1", "r0"])
      yield* caughtUp()
      expect(calls.slice(-4)).toEqual([bad + 2, bad + 1, bad + 2, bad + 2])
      const [parked] = yield* Consumer.parked(name)
      expect([parked?.activity.position, parked?.attempts]).toEqual([bad + 2, 3])
    })
  )

  slow(
    "what was handled before an activity that is being retried is done, and does not come again",
    Effect.gen(function*() {
      yield* relays(3)
      const bad = (yield* positions({ resourceId: "r0" }))[0]!
      // Behind the first one, handled, and retried.
      yield* log(["r0", "r1", "r2", "r1", "r2"])
      const all = yield* positions()
      const last = all.at(-1)!
      const seen = new Recorder()
      let attempts = 0
      const run = Effect.fork(Consumer.run({
        name,
        from,
        onFailure: "parkResource",
        retry: Schedule.spaced("1 minute").pipe(Schedule.whileInput(() => attempts > 0)),
        handle: (activity) =>
          Effect.suspend(() => {
            if (activity.position === bad) return Effect.fail("no")
            if (activity.position < last) return seen.handle(activity)
            attempts++
            return Effect.fail("no")
          })
      }))
      const running = yield* run
      yield* until(() => attempts === 1)
      yield* Consumer.awaitPosition(name, last - 1)
      expect(yield* parkedPositions).toEqual([bad, all.at(-5)!])
      yield* Fiber.interrupt(running)
      const again = yield* run
      yield* until(() => attempts === 2)
      yield* Fiber.interrupt(again)
      expect(seen.positions).toEqual(all.filter((position) => ![bad, all.at(-5)!, last].includes(position)))
    })
  )

  slow(
    "lag reports an activity that is being retried; by default there are five retries, with growing pauses",
    Effect.gen(function*() {
      yield* relays(1)
      let attempts = 0
      const fiber = yield* Effect.fork(Consumer.run({
        name,
        from,
        handle: () => Effect.suspend(() => Effect.fail(`attempt ${++attempts}`))
      }))
      yield* until(() => attempts === 1)
      // The failure is stored after the handler has failed.
      const lag = yield* Effect.repeat(Effect.zipLeft(Consumer.lag(name), TestClock.adjust("1 millis")), {
        until: ({ attempts }) => attempts === 1
      })
      expect(lag).toMatchObject({ failedPosition: 1, lastError: "attempt 1" })
      const passing = (duration: Duration.DurationInput) => Effect.forever(TestClock.adjust(duration))
      yield* Effect.raceFirst(until(() => attempts === 2), passing("10 millis"))
      const end = yield* Effect.raceFirst(Effect.flip(Fiber.join(fiber)), passing("1 second"))
      expect(end).toMatchObject({ _tag: "ConsumerHalted", attempts: 6 })
    })
  )

  for (const options of modes) {
    test(
      `park puts a failed activity aside with its error, and the consumer continues: ${JSON.stringify(options)}`,
      Effect.gen(function*() {
        yield* relays(3)
        yield* log(times(60, (n) => `r${n % 3}`))
        const all = yield* activities()
        const bad = all.filter(({ position }) => position % 7 === 0)
        const seen = new Recorder()
        yield* Effect.fork(Consumer.run({
          name,
          from,
          retry: Schedule.recurs(1),
          onFailure: "park",
          handle: seen.failing(({ position }) => position % 7 === 0),
          ...options
        }))
        yield* caughtUp()
        const parked = yield* Consumer.parked(name)
        expect(parked.map(({ activity }) => activity)).toEqual(bad)
        for (const row of parked) expect(row).toMatchObject({ attempts: 2, error: `no ${row.activity.resourceId}` })
        expect([...seen.positions].sort((a, b) => a - b)).toEqual(
          all.flatMap(({ position }) => position % 7 === 0 ? [] : [position])
        )
        expect(yield* Consumer.lag(name)).toMatchObject({ parked: bad.length, attempts: 0 })
        const page = yield* Consumer.parked(name, { after: bad[0]!.position, limit: 2 })
        expect(page.map(({ activity }) => activity)).toEqual(bad.slice(1, 3))
        expect(yield* Consumer.drop(name, [bad[0]!.position, bad[2]!.position, 99999])).toBe(2)
        expect(yield* parkedPositions).toEqual(bad.flatMap(({ position }, n) => n === 0 || n === 2 ? [] : [position]))
        expect(yield* Consumer.drop(name)).toBe(bad.length - 2)
        expect(yield* Consumer.parked(name)).toEqual([])
      })
    )

    test(
      `parkResource parks later activities of the resource too, across restarts, and replay handles them in order: ${
        JSON.stringify(options)
      }`,
      Effect.gen(function*() {
        yield* relays(3)
        yield* log(times(90, (n) => `r${n % 3}`))
        const all = yield* activities()
        const of = all.filter(({ resourceId }) => resourceId === "r1")
        const bad = of[3]!.position
        const seen = new Recorder()
        const run = Consumer.run({
          name,
          from,
          retry,
          onFailure: "parkResource",
          handle: seen.failing(({ position }) => position === bad),
          ...options
        })
        const first = yield* Effect.fork(run)
        yield* caughtUp()
        yield* Fiber.interrupt(first)
        yield* log(times(9, (n) => `r${n % 3}`))
        yield* Effect.fork(run)
        yield* caughtUp()
        const behind = yield* positions({ resourceId: "r1", after: bad - 1 })
        expect(yield* parkedPositions).toEqual(behind)
        const [culprit, next] = yield* Consumer.parked(name)
        expect(culprit).toMatchObject({ attempts: 1, error: "no r1" })
        expect(next).toMatchObject({ attempts: 0, error: null })
        for (const resourceId of ["r0", "r2"]) {
          expect(
            seen.activities.filter((activity) => activity.resourceId === resourceId).map(({ position }) => position)
          )
            .toEqual(yield* positions({ resourceId }))
        }
        // An activity that fails again stays parked, as do those behind it.
        const again = new Recorder()
        const failed = yield* Consumer.replay({
          name,
          handle: again.failing(({ position }) => position === behind[2]),
          transactional: options.transactional
        })
        expect(failed).toEqual({ replayed: 2, failed: 1 })
        expect(yield* parkedPositions).toEqual(behind.slice(2))
        expect((yield* Consumer.parked(name))[0]).toMatchObject({ attempts: 1, error: "no r1" })
        const done = yield* Consumer.replay({ name, handle: again.handle, transactional: options.transactional })
        expect(done).toEqual({ replayed: behind.length - 2, failed: 0 })
        expect(again.positions).toEqual(behind)
        expect(yield* Consumer.replay({ name, handle: again.handle })).toEqual({ replayed: 0, failed: 0 })
        // New activities of the resource are handled again.
        yield* log(times(6, (n) => `r${n % 3}`))
        yield* caughtUp()
        expect(yield* Consumer.parked(name)).toEqual([])
        const both = [...seen.activities, ...again.activities].filter(({ resourceId }) => resourceId === "r1")
        expect(both.map(({ position }) => position).sort((a, b) => a - b)).toEqual(
          yield* positions({ resourceId: "r1" })
        )
      })
    )
  }
}
