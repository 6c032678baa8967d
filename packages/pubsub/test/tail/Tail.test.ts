import { ActivityFeed, ActivityPubSub, Journal, StorageError } from "@caravel/domain"
import { nextTurn } from "@caravel/domain/adapter"
import { InProcess, Tail, Waiting } from "@caravel/pubsub"
import { describe, expect, it } from "@effect/vitest"
import { Chunk, Context, Deferred, Effect, Exit, Fiber, Layer, Option, type Scope, Stream, TestClock } from "effect"
import type { Window } from "../../src/tail/Window.js"
import { activity, epoch, event, pageSize, position, positionsOf, range, World } from "../world.js"

type Broadcasting = Tail.Tail | ActivityPubSub | ActivityFeed | Scope.Scope

const test = <A, E>(name: string, body: (world: World) => Effect.Effect<A, E, Broadcasting>) =>
  it.effect(name, () =>
    Effect.suspend(() => {
      const world = new World()
      return body(world).pipe(Effect.scoped, Effect.provide(Layer.provide(InProcess.layer, world.layer)))
    }).pipe(Effect.provideServiceEffect(Waiting.Waiting, Effect.clock)))

const subscribe = Effect.flatMap(ActivityPubSub, ({ subscribe }) => subscribe)

/** Announces the event at a position, which broadcasts everything before it too. */
const announce = (position: number) => Effect.flatMap(Tail.Tail, (tail) => tail.broadcast([event(position)]))

/** Commits `count` events and announces only the last, so that the others have to be read. */
const append = (world: World, count: number, logged?: (n: number) => boolean) => announce(world.commit(count, logged))

/** More than the shared window holds. */
const overflow = 5000

describe("the tail", () => {
  test("begins at the head and broadcasts nothing before it", (world) =>
    Effect.gen(function*() {
      const queue = yield* subscribe
      yield* append(world, 2)
      expect(positionsOf(yield* queue.takeAll)).toEqual([1, 2])
      const late = yield* subscribe
      yield* append(world, 1)
      expect(positionsOf(yield* late.takeAll)).toEqual([3])
    }))

  test("returns nothing from a queue if less than one is requested, and loses nothing", (world) =>
    Effect.gen(function*() {
      const queue = yield* subscribe
      yield* append(world, 3)
      for (const max of [0, -1, -5, Number.NaN, 0.5]) {
        expect([...yield* queue.takeUpTo(max), ...yield* queue.takeBetween(max, max)]).toEqual([])
      }
      expect(positionsOf(yield* queue.takeAll)).toEqual([1, 2, 3])
    }))

  it.live("lets timers and sockets have their turn before each page that it broadcasts", () =>
    Effect.suspend(() => {
      const world = new World()
      return Effect.gen(function*() {
        const queue = yield* subscribe
        let turns = 0
        yield* Effect.fork(Effect.forever(Effect.map(nextTurn, () => turns++)))
        yield* append(world, 6 * pageSize)
        expect(turns).toBeGreaterThanOrEqual(5)
        expect(positionsOf(yield* queue.takeAll)).toEqual(range(1, world.head))
      }).pipe(Effect.scoped, Effect.provide(Layer.provide(InProcess.layer, world.layer)))
    }))

  it.effect("begins at the end of an existing journal", () =>
    Effect.suspend(() => {
      const world = new World()
      world.commit(700)
      return Effect.gen(function*() {
        const queue = yield* subscribe
        yield* append(world, 2)
        expect(positionsOf(yield* queue.takeAll)).toEqual([701, 702])
      }).pipe(Effect.scoped, Effect.provide(Layer.provide(InProcess.layer, world.layer)))
    }))

  it.effect("starts although the last activities cannot be read, and broadcasts the next ones", () =>
    Effect.suspend(() => {
      const world = new World()
      world.commit(700)
      world.failing = 1
      return Effect.gen(function*() {
        const queue = yield* subscribe
        expect([world.failing, world.reads]).toEqual([0, 1])
        yield* append(world, 2)
        expect(positionsOf(yield* queue.takeAll)).toEqual([701, 702])
      }).pipe(Effect.scoped, Effect.provide(Layer.provide(InProcess.layer, world.layer)))
    }))

  it.effect("fails to start with a StorageError if the journal cannot be read", () =>
    Effect.gen(function*() {
      const world = new World()
      const error = new StorageError({ reason: "corrupt", operation: "head", cause: "torn" })
      const journal = Layer.mock(Journal, { epoch: Effect.succeed(epoch), head: error })
      const layer = InProcess.layer.pipe(Layer.provide(journal), Layer.provide(world.layer))
      expect(yield* Effect.flip(Effect.scoped(Layer.build(layer)))).toBe(error)
    }))

  test("broadcasts every activity up to a position once, in whatever order commits are announced", (world) =>
    Effect.gen(function*() {
      const queue = yield* subscribe
      world.commit(600, (n) => n % 2 === 0)
      yield* announce(5)
      expect(positionsOf(yield* queue.takeAll)).toEqual([2, 4])
      yield* Effect.forEach(range(6, 600).reverse(), announce, { concurrency: "unbounded" })
      yield* announce(3)
      yield* announce(600)
      expect(positionsOf(yield* queue.takeAll)).toEqual(range(3, 300).map((n) => 2 * n))
    }))

  test("broadcasts consecutive events without reading them back", (world) =>
    Effect.gen(function*() {
      const tail = yield* Tail.Tail
      const queue = yield* subscribe
      world.commit(6, (n) => n !== 2)
      yield* tail.broadcast([event(1), event(2, false), event(3)])
      yield* tail.broadcast([])
      expect(positionsOf(yield* queue.takeAll)).toEqual([1, 3])
      expect(world.reads).toBe(0)
      // The first call repeats an event that was broadcast; the second leaves a gap.
      yield* tail.broadcast([event(3), event(4)])
      yield* tail.broadcast([event(6)])
      expect(positionsOf(yield* queue.takeAll)).toEqual([4, 5, 6])
      expect(world.reads).toBe(2)
    }))

  test("broadcasts the activities before the events that it is given, without reading them", (world) =>
    Effect.gen(function*() {
      const tail = yield* Tail.Tail
      const queue = yield* subscribe
      world.commit(9)
      const preceding = (after: number, upTo: number) => ({
        after: position(after),
        activities: range(after + 1, upTo).map(activity)
      })
      yield* tail.broadcast([event(3)], preceding(0, 2))
      // The tail has moved since they were loaded.
      yield* tail.broadcast([event(4)])
      yield* tail.broadcast([event(7), event(8)], preceding(3, 6))
      // It has even broadcast the events.
      yield* tail.broadcast([event(8)], preceding(6, 7))
      expect(positionsOf(yield* queue.takeAll)).toEqual(range(1, 8))
      expect(world.reads).toBe(0)
      // They begin after what it lacks.
      world.commit(3)
      yield* tail.broadcast([event(12)], preceding(10, 11))
      expect(positionsOf(yield* queue.takeAll)).toEqual(range(9, 12))
      expect(world.reads).toBe(1)
    }))

  test("broadcasts events once that are announced while it reads the journal", (world) =>
    Effect.gen(function*() {
      const tail = yield* Tail.Tail
      const queue = yield* subscribe
      const reading = yield* Deferred.make<void>()
      const go = yield* Deferred.make<void>()
      world.commit(1)
      world.beforeRead = Effect.zipRight(Deferred.succeed(reading, undefined), Deferred.await(go))
      const behind = yield* Effect.fork(tail.advanceToHead)
      yield* Deferred.await(reading)
      yield* tail.broadcast([event(1)])
      world.commit(1)
      yield* tail.broadcast([event(2)])
      yield* Deferred.succeed(go, undefined)
      yield* Fiber.join(behind)
      expect(positionsOf(yield* queue.takeAll)).toEqual([1, 2])
    }))

  test("reads page by page and misses nothing at page boundaries", (world) =>
    Effect.gen(function*() {
      const queue = yield* subscribe
      let head = 0
      for (const count of [pageSize - 1, pageSize, pageSize + 1, 2 * pageSize, 1]) {
        yield* append(world, count)
        expect(positionsOf(yield* queue.takeAll)).toEqual(range(head + 1, head + count))
        head += count
      }
      world.reads = 0
      yield* append(world, 2.5 * pageSize)
      expect(world.reads).toBe(3)
    }))

  test("returns if the journal cannot be read, keeps retrying, and loses nothing", (world) =>
    Effect.gen(function*() {
      const queue = yield* subscribe
      world.failing = 6
      yield* append(world, 2)
      expect(yield* queue.size).toBe(0)
      const taker = yield* Effect.fork(queue.takeBetween(5, 9))
      yield* append(world, 3)
      while (world.failing > 0) yield* TestClock.adjust("1 second")
      yield* TestClock.adjust("1 minute")
      expect(positionsOf(yield* Fiber.join(taker))).toEqual(range(1, 5))
      yield* append(world, 1)
      expect(positionsOf(yield* queue.takeAll)).toEqual([6])
    }))

  test("ends when the journal was replaced, which no attempt can read again", (world) =>
    Effect.gen(function*() {
      const queue = yield* subscribe
      const feed = yield* ActivityFeed
      const follower = yield* Effect.fork(Effect.flip(Stream.runDrain(feed.live)))
      yield* append(world, 1)
      const replaced = new StorageError({ reason: "replaced", operation: "read", cause: new Error("another file") })
      world.beforeEpoch = replaced
      // What was committed before the last event has to be read.
      yield* append(world, 2)
      expect(yield* Fiber.join(follower)).toBe(replaced)
      expect(positionsOf(yield* queue.takeUpTo(9))).toEqual([1])
      expect(yield* queue.isShutdown).toBe(true)
    }))

  test("broadcasts events that it could not read with the next ones, in order", (world) =>
    Effect.gen(function*() {
      const queue = yield* subscribe
      // The first attempt and the first background attempt fail.
      world.failing = 2
      yield* append(world, 300)
      yield* Effect.yieldNow()
      yield* append(world, 300)
      yield* TestClock.adjust("1 minute")
      expect(positionsOf(yield* queue.takeAll)).toEqual(range(1, 600))
    }))

  test("reads nothing through the caller's context", (world) =>
    Effect.gen(function*() {
      class Transaction extends Context.Tag("Transaction")<Transaction, string>() {}
      const seen: Array<Option.Option<string>> = []
      world.beforeRead = Effect.map(Effect.serviceOption(Transaction), (transaction) => void seen.push(transaction))
      const feed = yield* ActivityFeed
      yield* Effect.gen(function*() {
        const queue = yield* subscribe
        yield* append(world, overflow)
        yield* queue.take
        yield* Stream.runDrain(Stream.take(feed.since(0), 1))
      }).pipe(Effect.provideService(Transaction, "the caller's"))
      // The second subscription shares the page of the first.
      expect(seen.length).toBe(Math.ceil(overflow / pageSize) + 1)
      expect(seen.every(Option.isNone)).toBe(true)
    }))
})

describe("the queue", () => {
  test("returns its activities by every way of taking", (world) =>
    Effect.gen(function*() {
      const queue = yield* subscribe
      expect([queue.capacity(), yield* queue.isFull, yield* queue.isEmpty]).toEqual([Infinity, false, true])
      yield* append(world, 12)
      expect([queue.unsafeSize(), yield* queue.isEmpty]).toEqual([Option.some(12), false])
      expect((yield* queue.take).position).toBe(1)
      expect((yield* queue).position).toBe(2)
      expect(positionsOf(yield* queue.takeUpTo(2))).toEqual([3, 4])
      expect(positionsOf(yield* queue.takeBetween(1, 3))).toEqual([5, 6, 7])
      expect(Chunk.toArray(yield* queue.takeBetween(3, 2))).toEqual([])
      expect(positionsOf(yield* queue.takeBetween(1, 1))).toEqual([8])
      expect(positionsOf(yield* Stream.runCollect(Stream.take(Stream.fromQueue(queue), 3)))).toEqual([9, 10, 11])
    }))

  test("keeps more than the window holds, and returns all of it at once", (world) =>
    Effect.gen(function*() {
      const queue = yield* subscribe
      yield* append(world, overflow, (n) => n % 3 !== 0)
      expect(yield* queue.size).toBe(world.activities.length)
      yield* append(world, overflow)
      expect(yield* queue.size).toBe(world.activities.length)
      expect(positionsOf(yield* queue.takeAll)).toEqual(positionsOf(world.activities))
      expect(yield* queue.isEmpty).toBe(true)
    }))

  test("waits while the journal cannot be read, and recovers", (world) =>
    Effect.gen(function*() {
      const queue = yield* subscribe
      yield* append(world, overflow)
      world.failing = 8
      const taker = yield* Effect.fork(queue.take)
      while (world.failing > 0) {
        expect((yield* Fiber.poll(taker))._tag).toBe("None")
        yield* TestClock.adjust("100 millis")
      }
      yield* TestClock.adjust("1 minute")
      expect((yield* Fiber.join(taker)).position).toBe(1)
      expect(positionsOf(yield* queue.takeAll)).toEqual(range(2, overflow))
    }))

  test("retries a journal that cannot be read with backoff, at least every few seconds", (world) =>
    Effect.gen(function*() {
      const queue = yield* subscribe
      yield* append(world, overflow)
      world.failing = 1_000_000
      world.reads = 0
      yield* Effect.fork(queue.take)
      yield* TestClock.adjust("10 minutes")
      expect(world.reads).toBeGreaterThan(90)
      expect(world.reads).toBeLessThan(200)
    }))

  test("loses nothing if a taker is interrupted while the journal cannot be read", (world) =>
    Effect.gen(function*() {
      const queue = yield* subscribe
      yield* append(world, overflow)
      world.failing = Number.POSITIVE_INFINITY
      const taker = yield* Effect.fork(queue.take)
      yield* Effect.yieldNow()
      yield* Fiber.interrupt(taker)
      world.failing = 0
      expect(positionsOf(yield* queue.takeUpTo(2))).toEqual([1, 2])
    }))

  test("interrupts waiting and later takers when it is shut down", (world) =>
    Effect.gen(function*() {
      const queue = yield* subscribe
      const waiting = yield* Effect.forEach([1, 2], (min) => Effect.fork(queue.takeBetween(min, 3)))
      const told = yield* Effect.fork(queue.awaitShutdown)
      yield* Effect.yieldNow()
      yield* queue.shutdown
      yield* queue.shutdown
      for (const fiber of waiting) expect(Exit.isInterrupted(yield* Fiber.await(fiber))).toBe(true)
      yield* Fiber.join(told)
      yield* append(world, 1)
      expect([queue.unsafeSize(), queue.isActive(), yield* queue.isShutdown]).toEqual([Option.none(), false, true])
      for (const attempt of [queue.isEmpty, queue.isFull, Effect.asVoid(queue.takeAll)]) {
        expect(Exit.isInterrupted(yield* Effect.exit(Effect.asVoid<unknown, never, never>(attempt)))).toBe(true)
      }
    }))
})

describe("the feed", () => {
  test("keeps nothing of a stream that has ended", (world) =>
    Effect.gen(function*() {
      const feed = yield* ActivityFeed
      const { seen } = yield* Tail.Tail
      const window = seen() as Window
      yield* append(world, 3)
      const before = window.listeners.size
      const reader = yield* Effect.fork(Stream.runDrain(feed.live))
      yield* Stream.runDrain(Stream.take(feed.since(0), 2))
      yield* Effect.yieldNow()
      expect(window.listeners.size).toBe(before + 1)
      yield* Fiber.interrupt(reader)
      expect(window.listeners.size).toBe(before)
    }))

  test("emits past activities, then new ones, each once", (world) =>
    Effect.gen(function*() {
      const feed = yield* ActivityFeed
      yield* append(world, 1000, (n) => n % 2 === 1)
      const halfway = yield* Deferred.make<void>()
      const reader = yield* feed.since(0).pipe(
        Stream.tap(({ position }) => position === 999 ? Deferred.succeed(halfway, undefined) : Effect.void),
        Stream.take(501),
        Stream.runCollect,
        Effect.fork
      )
      yield* Deferred.await(halfway)
      yield* append(world, 1)
      expect(positionsOf(yield* Fiber.join(reader))).toEqual([...range(0, 499).map((n) => 2 * n + 1), 1001])
    }))

  test("fails with a StorageError if its read fails, and can be resumed at the reader's position", (world) =>
    Effect.gen(function*() {
      const feed = yield* ActivityFeed
      yield* append(world, overflow)
      const seen: Array<number> = []
      const read = feed.since(0).pipe(
        Stream.tap(({ position }) => {
          seen.push(position)
          if (position === pageSize) world.failing = 1
          return Effect.void
        }),
        Stream.runDrain
      )
      expect((yield* Effect.flip(read))._tag).toBe("StorageError")
      expect(seen).toEqual(range(1, pageSize))
      const rest = yield* Stream.runCollect(Stream.take(feed.since(pageSize), overflow - pageSize))
      expect(positionsOf(rest)).toEqual(range(pageSize + 1, overflow))
    }))

  test("begins, if live, when it is run", (world) =>
    Effect.gen(function*() {
      const { live } = yield* ActivityFeed
      yield* append(world, 3)
      const reader = yield* Effect.fork(Stream.runCollect(Stream.take(live, 2)))
      for (let n = 0; n < 10; n++) yield* Effect.yieldNow()
      yield* append(world, 5)
      expect(positionsOf(yield* Fiber.join(reader))).toEqual([4, 5])
    }))
})
