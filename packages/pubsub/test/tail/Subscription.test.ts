import { nextTurn } from "@caravel/domain/adapter"
import { describe, expect, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber } from "effect"
import { type Pages, pageSize, Subscription } from "../../src/tail/Subscription.js"
import { type Ended, Window } from "../../src/tail/Window.js"
import { position, positionsOf, range, World } from "../world.js"

/** A world with its window; `append` commits and broadcasts. */
const setup = (capacity = 1024, from = 0) => {
  const world = new World()
  world.commit(from)
  const window = new Window(position(from), capacity)
  const append = (count = 1, logged?: (n: number) => boolean) => {
    const before = world.activities.length
    const head = world.commit(count, logged)
    window.advance(world.activities.slice(before), head)
  }
  const pages: Pages = {
    open: new Set(),
    load: (after, upTo, hold) =>
      Effect.map(world.read(after, upTo), (activities) =>
        hold({
          activities,
          start: after,
          upTo: activities.length < pageSize ? upTo : activities[activities.length - 1]!.position,
          isWhole: false
        }))
  }
  const subscribe = (at?: number) => new Subscription(window, pages, at === undefined ? window.position : position(at))
  return { world, window, append, subscribe }
}

/** Takes activities until there are `upTo`. */
const drain = (subscription: Subscription, upTo: number) =>
  Effect.gen(function*() {
    const taken: Array<number> = []
    while (taken.length < upTo) {
      for (const n of positionsOf(yield* subscription.take(1, upTo - taken.length))) taken.push(n)
    }
    return taken
  })

describe("a subscription", () => {
  it.effect("takes broadcast activities without reading the journal", () =>
    Effect.gen(function*() {
      const { append, subscribe, world } = setup()
      const subscription = subscribe()
      append(5)
      expect(subscription.pending).toBe(5)
      expect(positionsOf(yield* subscription.take(1, 2))).toEqual([1, 2])
      expect(subscription.pending).toBe(3)
      expect(positionsOf(yield* subscription.take(3, 99))).toEqual([3, 4, 5])
      expect(yield* subscription.take(0, 9)).toEqual([])
      expect(world.reads).toBe(0)
    }))

  it.effect("begins anywhere in the past and reads page by page", () =>
    Effect.gen(function*() {
      for (const total of [1, pageSize - 1, pageSize, pageSize + 1, 2 * pageSize, 2.5 * pageSize]) {
        const { append, subscribe } = setup(16, total)
        const subscription = subscribe(0)
        append(3)
        expect(yield* drain(subscription, total + 3)).toEqual(range(1, total + 3))
      }
    }))

  it.effect("skips events without an activity", () =>
    Effect.gen(function*() {
      const { append, subscribe, world } = setup(2)
      const subscription = subscribe()
      append(40, (n) => n % 10 === 0)
      append(300, () => false)
      append(1)
      expect(yield* drain(subscription, 5)).toEqual([10, 20, 30, 40, 341])
      expect(world.reads).toBeGreaterThan(0)
    }))

  it.effect("reads activities that have left the window, at most a page at a time", () =>
    Effect.gen(function*() {
      const { append, subscribe, window, world } = setup(4)
      const subscription = subscribe()
      for (let n = 0; n < 1000; n++) append()
      expect(window.count(window.floor)).toBeLessThan(8)
      expect(subscription.pending).toBe(1000)
      expect(positionsOf(yield* subscription.take(1, 1))).toEqual([1])
      expect(world.reads).toBe(1)
      expect(yield* drain(subscription, 999)).toEqual(range(2, 1000))
      expect(subscription.pending).toBe(0)
    }))

  it.effect("loses nothing if the window overflows at every read while it catches up", () =>
    Effect.gen(function*() {
      const { append, subscribe, world } = setup(4, 600)
      const subscription = subscribe(0)
      let bursts = 20
      world.beforeRead = Effect.sync(() => {
        if (bursts-- > 0) append(30)
      })
      expect(yield* drain(subscription, 1200)).toEqual(range(1, 1200))
      expect(bursts).toBeLessThanOrEqual(0)
    }))

  it.effect("waits for its minimum, and wakes once it is there", () =>
    Effect.gen(function*() {
      const { append, subscribe } = setup()
      const subscription = subscribe()
      const taker = yield* Effect.fork(subscription.take(3, 5))
      for (const _ of range(1, 2)) {
        append()
        yield* Effect.yieldNow()
        expect((yield* Fiber.poll(taker))._tag).toBe("None")
      }
      append(4)
      expect(positionsOf(yield* Fiber.join(taker))).toEqual(range(1, 5))
      expect(positionsOf(yield* subscription.take(1, 5))).toEqual([6])
    }))

  it.effect("fails a take if the read fails, and the next take continues at the same place", () =>
    Effect.gen(function*() {
      const { subscribe, world } = setup(4, pageSize + 44)
      const subscription = subscribe(0)
      world.failing = 1
      expect(yield* Effect.flip(subscription.take(1, 9))).toMatchObject({ reason: "busy" })
      expect(positionsOf(yield* subscription.take(9, 9))).toEqual(range(1, 9))
      world.failing = 2
      expect(yield* drain(subscription, pageSize - 9)).toEqual(range(10, pageSize))
      expect((yield* Effect.flip(subscription.take(1, 9)))._tag).toBe("StorageError")
      expect((yield* Effect.flip(subscription.take(1, 9)))._tag).toBe("StorageError")
      expect(yield* drain(subscription, 44)).toEqual(range(pageSize + 1, pageSize + 44))
    }))

  it.effect("loses nothing and blocks no later take if a read is interrupted", () =>
    Effect.gen(function*() {
      const { subscribe, world } = setup(4, pageSize + 44)
      const subscription = subscribe(0)
      const reading = yield* Deferred.make<void>()
      world.beforeRead = Effect.zipRight(Deferred.succeed(reading, undefined), Effect.never)
      const taker = yield* Effect.fork(subscription.take(1, 9))
      yield* Deferred.await(reading)
      expect(Exit.isInterrupted(yield* Fiber.interrupt(taker))).toBe(true)
      world.beforeRead = Effect.void
      expect(yield* drain(subscription, 300)).toEqual(range(1, 300))
    }))

  it.effect("serves two concurrent takers with one read, each activity once", () =>
    Effect.gen(function*() {
      const { subscribe, world } = setup(4, 20)
      const subscription = subscribe(0)
      world.beforeRead = Effect.yieldNow()
      const taken = yield* Effect.all([subscription.take(5, 5), subscription.take(5, 5)], { concurrency: "unbounded" })
      expect(taken.flatMap(positionsOf).sort((a, b) => a - b)).toEqual(range(1, 10))
      expect(world.reads).toBe(1)
    }))

  it.effect("interrupts waiting and later takers when it is closed, and leaves the window", () =>
    Effect.gen(function*() {
      const { append, subscribe, window } = setup()
      const subscription = subscribe()
      const taker = yield* Effect.fork(subscription.take(1, 1))
      yield* Effect.yieldNow()
      subscription.close()
      expect(Exit.isInterrupted(yield* Fiber.await(taker))).toBe(true)
      append()
      expect(Exit.isInterrupted(yield* Effect.exit(subscription.take(0, 1)))).toBe(true)
      expect([subscription.isClosed, window.listeners.size]).toEqual([true, 0])
    }))
})

/** Lets every fiber run as far as it can: in a turn they all do, and a subscription waits for another before a page. */
const settle = Effect.repeatN(nextTurn, 2)

/**
 * The switch from catch-up to live, with a window of one: every order of a few appends (of one, or of enough to
 * overflow the window), takes, and page reads that a gate releases.
 */
describe("every interleaving of append, overflow, take and page read", () => {
  const steps = ["append", "overflow", "unlogged", "take", "read"] as const
  type Step = typeof steps[number]

  const schedules = (length: number): ReadonlyArray<ReadonlyArray<Step>> =>
    length === 0 ? [[]] : schedules(length - 1).flatMap((head) => steps.map((step) => [...head, step]))

  const follow = (start: number, schedule: ReadonlyArray<Step>) =>
    Effect.gen(function*() {
      const { append, subscribe, world } = setup(1, 3)
      const subscription = subscribe(start)
      const gate = yield* Effect.makeSemaphore(0)
      world.beforeRead = gate.take(1).pipe(Effect.asVoid)
      const takers: Array<Fiber.Fiber<ReadonlyArray<number>, Ended>> = []
      for (const step of schedule) {
        if (step === "append") append(1)
        else if (step === "overflow") append(3)
        else if (step === "unlogged") append(1, () => false)
        else if (step === "read") yield* gate.release(1)
        else takers.push(yield* Effect.fork(Effect.map(subscription.take(1, 2), positionsOf)))
        yield* settle
      }
      yield* gate.release(1000)
      const expected = positionsOf(world.activities).filter((n) => n > start)
      const taken: Array<number> = []
      yield* settle
      for (const taker of takers) {
        const exit = yield* Fiber.poll(taker)
        if (exit._tag === "Some") { for (const n of yield* exit.value) taken.push(n) }
        else yield* Fiber.interrupt(taker)
      }
      const rest = yield* drain(subscription, expected.length - taken.length)
      // Takers that wait at the same time are served in any order. Each activity goes to one of them.
      taken.sort((a, b) => a - b)
      expect([...taken, ...rest], schedule.join(" ")).toEqual(expected)
      expect(yield* subscription.take(0, 9)).toEqual([])
    })

  for (const start of [0, 2, 3]) {
    it.effect(
      `from ${start} of 3`,
      () => Effect.forEach(schedules(5), (schedule) => follow(start, schedule), { discard: true }),
      60_000
    )
  }
})

it.live("a subscription that catches up lets timers and sockets have their turn before each page", () =>
  Effect.gen(function*() {
    const pages = 6
    const { subscribe, world } = setup(1, pages * pageSize)
    let turns = 0
    yield* Effect.fork(Effect.forever(Effect.map(nextTurn, () => turns++)))
    const taken = yield* drain(subscribe(0), world.head)
    expect(taken).toEqual(range(1, world.head))
    expect(turns).toBeGreaterThanOrEqual(pages - 1)
  }))
