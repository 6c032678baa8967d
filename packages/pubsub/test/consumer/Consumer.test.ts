import { type Activity, StorageError } from "@caravel/domain"
import { nextTurn } from "@caravel/domain/adapter"
import { ActivityLog, Consumer, Tail, Waiting } from "@caravel/pubsub"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Logger, LogLevel, Option, type Scope, TestClock } from "effect"
import { Store } from "../store.js"
import { Ticker } from "../ticker.js"
import { event, pageSize, positionsOf, range, World } from "../world.js"

const name = "c"
const from = "beginning"

const layerOf = (world: World, store: Store) =>
  Consumer.layerService.pipe(
    Layer.provideMerge(Layer.provide(Tail.layer, ActivityLog.layer)),
    Layer.provide(Layer.merge(world.layer, store.layer)),
    Layer.merge(Logger.minimumLogLevel(LogLevel.Error))
  )

const test = <A, E>(
  title: string,
  body: (world: World, store: Store) => Effect.Effect<A, E, Consumer.Consumer | Tail.Tail | Scope.Scope>
) =>
  it.scoped(title, () =>
    Effect.suspend(() => {
      const world = new World()
      const store = new Store()
      return Effect.provide(body(world, store), layerOf(world, store))
    }).pipe(Effect.provideServiceEffect(Waiting.Waiting, Effect.clock)))

/** Commits `count` events and broadcasts them. */
const append = (world: World, count = 1) =>
  Effect.gen(function*() {
    const before = world.head
    const head = world.commit(count)
    yield* (yield* Tail.Tail).broadcast(range(before + 1, head).map((n) => event(n)))
  })

/** Lets every fiber run as far as it can: in a turn they all do, and a consumer waits for another between two pages. */
const settle = Effect.repeatN(nextTurn, 2)

describe("the checkpoint", () => {
  test(
    "is written at once, then at most every 100 ms, and when the run ends",
    (world, store) =>
      Effect.gen(function*() {
        const fiber = yield* Effect.fork(Consumer.run({ name, from, handle: () => Effect.yieldNow() }))
        yield* append(world, 3000)
        yield* Effect.repeatN(Effect.yieldNow(), 10_000)
        expect(store.moves.length).toBe(1)
        expect(store.moves[0]).toBeLessThan(3000)
        yield* TestClock.adjust("99 millis")
        expect(store.moves.length).toBe(1)
        yield* TestClock.adjust("1 millis")
        expect(store.moves.slice(1)).toEqual([3000])
        for (let n = 0; n < 10; n++) {
          yield* append(world)
          yield* settle
          yield* TestClock.adjust("20 millis")
        }
        expect(store.moves.length).toBeLessThanOrEqual(5)
        yield* append(world, 5)
        yield* Effect.repeatN(Effect.yieldNow(), 100)
        expect(store.position).toBeLessThan(3015)
        yield* Fiber.interrupt(fiber)
        expect(store.position).toBe(3015)
      })
  )

  test("is written at once if a fiber waits for it", (world, store) =>
    Effect.gen(function*() {
      yield* Effect.fork(Consumer.run({ name, from, handle: () => Effect.void }))
      for (let n = 1; n <= 20; n++) {
        yield* append(world)
        yield* Consumer.awaitPosition(name, n)
        expect(store.position).toBe(n)
      }
    }))
})

it.scoped("an idle consumer reads nothing while an application's clock moves by an hour", () => {
  const world = new World()
  const store = new Store()
  return Effect.gen(function*() {
    const seen: Array<number> = []
    const run = (name: string) =>
      Effect.fork(Consumer.run({ name, from, handle: ({ position }) => Effect.sync(() => seen.push(position)) }))
    // The second run waits for the lease.
    yield* run(name)
    yield* append(world, 3)
    yield* Consumer.awaitPosition(name, 3)
    yield* run(name)
    yield* settle
    const before = [store.looks, world.reads]
    yield* TestClock.adjust("1 hour")
    // Polling uses real time, of which less than a few seconds have passed.
    expect(store.looks - before[0]!).toBeLessThan(20)
    expect(world.reads - before[1]!).toBe(0)
    yield* append(world)
    yield* Consumer.awaitPosition(name, 4)
    expect(seen).toEqual([1, 2, 3, 4])
  }).pipe(Effect.provide(layerOf(world, store)))
})

describe("storage that fails", () => {
  const failing = (reason: StorageError["reason"]) =>
    new StorageError({ reason, operation: "test", passes: reason === "readonly", cause: new Error(reason) })

  for (const options of [{}, { transactional: true }, { concurrency: 3 }]) {
    test(
      `is retried if the failure is transient, and ends the run otherwise: ${JSON.stringify(options)}`,
      (world, store) =>
        Effect.gen(function*() {
          const seen: Array<number> = []
          const fiber = yield* Effect.fork(Consumer.run({
            name,
            from,
            handle: ({ position }) => Effect.sync(() => void seen.push(position)),
            ...options
          }))
          const passing = ["busy", "unavailable", "readonly", "commitUnknown"] as const
          const failures = [...passing, ...passing]
          store.beforeMove = () => Effect.suspend(() => failures.length > 0 ? failing(failures.shift()!) : Effect.void)
          world.failing = 2
          yield* append(world, 300)
          yield* Effect.repeatN(Effect.zipRight(settle, TestClock.adjust("1 second")), 20)
          expect(store.position).toBe(300)
          expect(new Set(seen)).toEqual(new Set(range(1, 300)))
          expect(Option.isNone(yield* Fiber.poll(fiber))).toBe(true)
          store.beforeMove = () => failing("full")
          yield* append(world)
          expect(yield* Effect.flip(Fiber.join(fiber))).toMatchObject({ _tag: "StorageError", reason: "full" })
        })
    )
  }
})

describe("a layer", () => {
  const failing = (reason: StorageError["reason"]) =>
    new StorageError({ reason, operation: "test", cause: new Error(reason) })

  const build = (seen: Array<number>) =>
    Layer.build(Consumer.layer({ name, from, handle: ({ position }) => Effect.sync(() => void seen.push(position)) }))

  test("runs its consumer again after a storage error that may pass", (world, store) =>
    Effect.gen(function*() {
      const seen: Array<number> = []
      const failures = ["full", "readonly", "other"] as const
      let moves = 0
      store.beforeMove = () => Effect.suspend(() => moves < 3 ? failing(failures[moves++]!) : Effect.void)
      yield* build(seen)
      yield* append(world, 3)
      yield* Effect.repeatN(Effect.zipRight(settle, TestClock.adjust("1 second")), 20)
      expect([moves, store.position]).toEqual([3, 3])
      expect(new Set(seen)).toEqual(new Set([1, 2, 3]))
      yield* Consumer.ready
    }))

  test("ends its consumer after a storage error that does not pass", (world, store) =>
    Effect.gen(function*() {
      store.beforeMove = () => failing("corrupt")
      yield* build([])
      yield* append(world)
      yield* Effect.repeatN(Effect.zipRight(settle, TestClock.adjust("1 second")), 5)
      expect(yield* Effect.flip(Consumer.ready)).toMatchObject({ _tag: "StorageError", reason: "corrupt" })
      expect(store.moves).toEqual([])
    }))
})

/**
 * The switch from catch-up to live: every order of appends (of one event, or of more than a page), commits with a lost
 * or doubled wake-up, page reads that a gate releases, checkpoint timers, and consumers that start, end and lose their
 * lease.
 */
describe("every interleaving", () => {
  const steps = [
    "append",
    "overflow",
    "silent",
    "doubled",
    "read",
    "timer",
    "register",
    "disconnect",
    "revoke"
  ] as const
  type Step = typeof steps[number]

  const schedules = (length: number): ReadonlyArray<ReadonlyArray<Step>> =>
    length === 0 ? [[]] : schedules(length - 1).flatMap((head) => steps.map((step) => [...head, step]))

  const follow = (
    schedule: ReadonlyArray<Step>,
    options: { readonly transactional?: boolean; readonly concurrency?: number }
  ) => {
    const world = new World()
    const store = new Store()
    const ticker = new Ticker()
    const title = schedule.join(" ")
    const seen = new Set<number>()
    world.commit(3)
    // A written checkpoint has skipped nothing, and what was seen once stays seen.
    let checked = 0
    store.beforeMove = (to) =>
      Effect.sync(() => {
        for (; checked < to; checked++) expect(seen.has(checked + 1), title).toBe(true)
      })
    return Effect.gen(function*() {
      const tail = yield* Tail.Tail
      const gate = yield* Effect.makeSemaphore(0)
      world.beforeRead = Effect.asVoid(gate.take(1))
      // If more than a page is appended, most handlers run without a yield. Only those near both ends, and every 32nd,
      // yield and can be interleaved.
      const bulk = new Set<number>()
      const handle = ({ position }: Activity) => {
        const handled = Effect.sync(() => {
          seen.add(position)
          store.written.push(position)
        })
        return bulk.has(position) ? handled : Effect.zipRight(Effect.yieldNow(), handled)
      }
      const overflow = Effect.suspend(() => {
        for (const n of range(world.head + 8, world.head + pageSize - 8)) if (n % 32 !== 0) bulk.add(n)
        return append(world, pageSize + 1)
      })
      const run = Effect.fork(Consumer.run({ name, from, handle, ...options }))
      let running = yield* run
      for (const step of schedule) {
        if (step === "append") yield* Effect.fork(append(world))
        else if (step === "overflow") yield* Effect.fork(overflow)
        else if (step === "silent") world.commit(1)
        else if (step === "doubled") yield* Effect.fork(Effect.repeatN(tail.advanceToHead, 1))
        else if (step === "read") yield* gate.release(1)
        else if (step === "timer") ticker.advance(100)
        else if (step === "register") yield* run
        else if (step === "disconnect") {
          yield* Fiber.interrupt(running)
          running = yield* run
        } else store.revoke()
        yield* settle
      }
      yield* gate.release(1_000_000)
      yield* append(world)
      const done = yield* Effect.fork(Consumer.awaitPosition(name, world.head))
      // A lost lease is noticed at the next renewal.
      for (let n = 0; n < 1000 && Option.isNone(yield* Fiber.poll(done)); n++) {
        ticker.advance(1000)
        yield* settle
      }
      const expected = positionsOf(world.activities)
      // Compared as text, which is faster than comparing thousands of elements.
      expect([...seen].sort((a, b) => a - b).join(), title).toBe(expected.join())
      if (options.transactional === true) expect(store.written.join(), title).toBe(expected.join())
    }).pipe(
      Effect.scoped,
      Effect.provide(layerOf(world, store)),
      Effect.withClock(ticker.clock),
      Effect.provideService(Waiting.Waiting, ticker.clock)
    )
  }

  for (const options of [{}, { transactional: true }, { concurrency: 2 }]) {
    it.live(
      `skips nothing and, with transactions, repeats nothing: ${JSON.stringify(options)}`,
      () =>
        Effect.forEach(
          schedules(3),
          // All this runs in microtasks, and a process that does nothing else for a minute is lost to vitest.
          (schedule) => Effect.zipLeft(follow(schedule, options), nextTurn),
          { discard: true }
        ),
      120_000
    )
  }
})

const pages = 12

/** Longer than the event loop may be kept busy. */
const pageMillis = 25

it.live("a consumer lets sockets have their turns between pages, even while another fiber yields all the time", () =>
  Effect.gen(function*() {
    // Node starves sockets only in some runs.
    for (let round = 0; round < 8; round++) {
      const world = new World()
      world.commit(pages * pageSize)
      let turns = 0
      let isDone = false
      const turn = () => {
        turns++
        if (!isDone) setImmediate(turn)
      }
      const handle = ({ position }: { readonly position: number }) =>
        Effect.sync(() => {
          if (position % pageSize !== 0) return
          const until = performance.now() + pageMillis
          while (performance.now() < until);
        })
      yield* Effect.gen(function*() {
        const yielding = yield* Effect.fork(Effect.forever(Effect.yieldNow()))
        const running = yield* Effect.fork(Consumer.run({ name, from, handle }))
        yield* nextTurn
        setImmediate(turn)
        yield* Consumer.awaitPosition(name, world.head)
        isDone = true
        yield* Fiber.interrupt(running)
        yield* Fiber.interrupt(yielding)
      }).pipe(Effect.provide(layerOf(world, new Store())))
      expect(turns).toBeGreaterThanOrEqual(pages - 2)
    }
  }))
