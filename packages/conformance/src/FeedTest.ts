/** The contract of `ActivityFeed` and `ActivityPubSub`. */
import {
  type Activity,
  ActivityFeed,
  ActivityPubSub,
  Command,
  type CommandRequest,
  decodeCommand,
  Query
} from "@caravel/domain"
import { describe, expect } from "@effect/vitest"
import { Chunk, Deferred, Effect, Exit, Fiber, type Layer, Option, type Queue, Scope, Stream } from "effect"
import { followedEpochs } from "./internal/epochs.js"
import { alice, furnished, invoke, plain, type Services, specs } from "./internal/fixture.js"

const subscribe = Effect.flatMap(ActivityPubSub, (pubsub) => pubsub.subscribe)

const activate: Effect.Effect<CommandRequest> = Effect.orDie(decodeCommand({ _tag: "ActivateRelay", id: "relay-1" }))

/** Logs `count` activities, a thousand per submission. Each submission is followed by an event without an activity. */
const log = (count: number) =>
  Effect.gen(function*() {
    const { submit } = yield* Command
    const request = yield* activate
    for (let rest = count; rest > 0; rest -= 1000) {
      yield* submit(Array.from({ length: Math.min(rest, 1000) }, () => request))
      yield* invoke("setTenantNwcError", [alice, "unlogged"])
    }
  })

const logged = (after = 0) =>
  Effect.map(Effect.flatMap(Query, (query) => query.activity({ after })), (activities) => plain(activities))

const collect = <E, R>(stream: Stream.Stream<Activity, E, R>, count: number) =>
  Effect.map(Stream.runCollect(Stream.take(stream, count)), (chunk) => plain([...chunk]))

/** Runs a stream in a fiber. `first` completes once its first element is there. */
const started = <E, R>(stream: Stream.Stream<Activity, E, R>, count: number) =>
  Effect.gen(function*() {
    const first = yield* Deferred.make<void>()
    const fiber = yield* Effect.fork(
      collect(Stream.tap(stream, () => Deferred.succeed(first, undefined)), count)
    )
    return { fiber, first: Deferred.await(first) }
  })

const drained = (queue: Queue.Dequeue<Activity>) => Effect.map(queue.takeAll, (chunk) => plain([...chunk]))

const feed = <E>(layer: Layer.Layer<Services, E>) => {
  const test = specs(layer)

  test(
    "since(n) emits every activity after n, for every n, and then new ones",
    Effect.gen(function*() {
      const feed = yield* ActivityFeed
      yield* furnished
      yield* log(6)
      const all = yield* logged()
      const head = all[all.length - 1]!.position
      for (let n = 0; n < head; n++) {
        const expected = all.filter(({ position }) => position > n)
        expect(yield* collect(feed.since(n), expected.length)).toEqual(expected)
      }
      const ahead = yield* Effect.fork(collect(feed.since(head), 2))
      yield* log(2)
      expect(yield* Fiber.join(ahead)).toEqual(yield* logged(head))
    })
  )

  test(
    "live emits activities that are logged after it was run, and no earlier ones",
    Effect.gen(function*() {
      const feed = yield* ActivityFeed
      yield* furnished
      const before = yield* logged()
      const { fiber, first } = yield* started(feed.live, 3)
      // The feed may begin at any of these. It misses none after its first.
      yield* Effect.race(first, Effect.forever(Effect.zipRight(log(1), Effect.yieldNow())))
      yield* log(3)
      const seen = yield* Fiber.join(fiber)
      const after = yield* logged(before[before.length - 1]!.position)
      const start = after.findIndex(({ id }) => id === seen[0]!.id)
      expect(start).toBeGreaterThanOrEqual(0)
      expect(seen).toEqual(after.slice(start, start + 3))
    })
  )

  test(
    "a malformed position is a ParseError",
    Effect.gen(function*() {
      const feed = yield* ActivityFeed
      for (const position of [-1, 1.5, NaN, Infinity, "1" as unknown as number, null as unknown as number]) {
        const error = yield* Effect.flip(Stream.runHead(feed.since(position)))
        expect(error._tag).toBe("ParseError")
      }
    })
  )

  test(
    "a reader that lags by more than is kept in memory loses nothing",
    Effect.gen(function*() {
      const feed = yield* ActivityFeed
      yield* furnished
      const total = 3 + 5000 + 100
      const open = yield* Deferred.make<void>()
      const first = yield* Deferred.make<void>()
      const slow = yield* feed.since(0).pipe(
        Stream.tap(() => Effect.zipRight(Deferred.succeed(first, undefined), Deferred.await(open))),
        (stream) => collect(stream, total),
        Effect.fork
      )
      yield* Deferred.await(first)
      yield* log(5000)
      yield* Deferred.succeed(open, undefined)
      yield* log(100)
      expect((yield* logged()).length).toBe(total + 1)
      expect(yield* Fiber.join(slow)).toEqual((yield* logged()).slice(0, total))
    }),
    120_000
  )

  test(
    "readers that reconnect from their last position lose nothing, while others write",
    Effect.gen(function*() {
      const feed = yield* ActivityFeed
      yield* furnished
      const read = Effect.gen(function*() {
        const seen: Array<Activity> = []
        while (seen.length < 300) {
          const position = seen.length === 0 ? 0 : seen[seen.length - 1]!.position
          const chunk = yield* Stream.runCollect(Stream.take(feed.since(position), 1 + (seen.length * 7) % 23))
          for (const activity of chunk) seen.push(activity)
        }
        return plain(seen)
      })
      const readers = yield* Effect.fork(Effect.all([read, read, read], { concurrency: "unbounded" }))
      yield* Effect.repeatN(log(4), 100)
      const all = yield* logged()
      for (const seen of yield* Fiber.join(readers)) expect(seen).toEqual(all.slice(0, seen.length))
    })
  )

  test(
    "a feed that was interrupted does not affect others",
    Effect.gen(function*() {
      const feed = yield* ActivityFeed
      yield* furnished
      const left = yield* Effect.fork(Stream.runDrain(feed.since(0)))
      yield* Effect.yieldNow()
      expect(Exit.isInterrupted(yield* Fiber.interrupt(left))).toBe(true)
      yield* log(2)
      expect(yield* collect(feed.since(0), 5)).toEqual((yield* logged()).slice(0, 5))
    })
  )
}

const queue = <E>(layer: Layer.Layer<Services, E>) => {
  const test = specs(layer)

  test(
    "a queue begins when it is subscribed, and returns every later activity once, in order",
    Effect.gen(function*() {
      yield* furnished
      const before = (yield* logged()).length
      const queue = yield* subscribe
      expect(yield* queue.size).toBe(0)
      expect(yield* queue.isEmpty).toBe(true)
      yield* log(10)
      const all = (yield* logged()).slice(before)
      expect(yield* queue.size).toBe(10)
      expect(plain(yield* queue.take)).toEqual(all[0])
      expect(plain(yield* queue)).toEqual(all[1])
      expect(yield* queue.size).toBe(8)
      expect(plain([...yield* queue.takeUpTo(3)])).toEqual(all.slice(2, 5))
      expect(plain([...yield* queue.takeBetween(2, 4)])).toEqual(all.slice(5, 9))
      expect([...yield* queue.takeUpTo(0)]).toEqual([])
      expect(yield* drained(queue)).toEqual(all.slice(9))
      expect(yield* drained(queue)).toEqual([])
      expect([...yield* queue.takeUpTo(5)]).toEqual([])
      expect(yield* queue.isEmpty).toBe(true)
    })
  )

  test(
    "takeBetween waits for its minimum",
    Effect.gen(function*() {
      yield* furnished
      const before = (yield* logged()).length
      const queue = yield* subscribe
      yield* log(2)
      const taker = yield* Effect.fork(queue.takeBetween(4, 6))
      yield* log(1)
      expect(yield* Fiber.poll(taker)).toEqual(Option.none())
      yield* log(1)
      expect(plain([...yield* Fiber.join(taker)])).toEqual((yield* logged()).slice(before))
    })
  )

  test(
    "a queue that is not drained keeps thousands of activities and returns all of them",
    Effect.gen(function*() {
      yield* furnished
      const before = (yield* logged()).length
      const [bulk, single] = yield* Effect.all([subscribe, subscribe])
      yield* log(5000)
      const expected = (yield* logged()).slice(before)
      expect(yield* bulk.size).toBe(5000)
      expect(yield* drained(bulk)).toEqual(expected)
      expect(yield* bulk.size).toBe(0)
      const one = []
      for (let n = 0; n < 5000; n++) one.push(plain(yield* single.take))
      expect(one).toEqual(expected)
    }),
    120_000
  )

  test(
    "activities that an interrupted taker does not receive stay for the next taker",
    Effect.gen(function*() {
      yield* furnished
      const before = (yield* logged()).length
      const queue = yield* subscribe
      const received: Array<Activity> = []
      for (let n = 0; n < 60; n++) {
        const taker = yield* Effect.fork(queue.take)
        const writer = yield* Effect.fork(log(1))
        for (let yields = n % 7; yields > 0; yields--) yield* Effect.yieldNow()
        const exit = yield* Fiber.interrupt(taker)
        if (Exit.isSuccess(exit)) received.push(exit.value)
        yield* Fiber.join(writer)
      }
      const rest = yield* queue.takeAll
      expect(plain([...received, ...rest])).toEqual((yield* logged()).slice(before))
      expect(yield* Effect.timeoutOption(queue.take, "1 millis")).toEqual(Option.none())
      yield* log(1)
      expect(yield* queue.size).toBe(1)
    })
  )

  test(
    "each activity goes to one of a queue's takers",
    Effect.gen(function*() {
      yield* furnished
      const before = (yield* logged()).length
      const queue = yield* subscribe
      const takers = yield* Effect.fork(
        Effect.all(Array.from({ length: 50 }, () => queue.take), { concurrency: "unbounded" })
      )
      yield* log(50)
      const taken: ReadonlyArray<{ readonly position: number }> = yield* Fiber.join(takers)
      const positions = taken.map(({ position }) => position).sort((a, b) => a - b)
      expect(positions).toEqual((yield* logged()).slice(before).map(({ position }) => position))
      expect(yield* queue.size).toBe(0)
    })
  )

  test(
    "closing its scope ends a subscription and interrupts its takers",
    Effect.gen(function*() {
      yield* furnished
      const scope = yield* Scope.make()
      const queue = yield* Scope.extend(subscribe, scope)
      const waiting = yield* Effect.forkDaemon(queue.take)
      yield* Effect.yieldNow()
      expect([queue.isActive(), yield* queue.isShutdown]).toEqual([true, false])
      yield* Scope.close(scope, Exit.void)
      expect(Exit.isInterrupted(yield* Fiber.await(waiting))).toBe(true)
      yield* queue.awaitShutdown
      expect([queue.isActive(), yield* queue.isShutdown]).toEqual([false, true])
      for (const attempt of [queue.take, queue.takeAll, queue.size, queue.takeUpTo(1), queue.takeBetween(1, 2)]) {
        expect(Exit.isInterrupted(yield* Effect.exit(Effect.asVoid<unknown, never, never>(attempt)))).toBe(true)
      }
      // Other subscriptions continue.
      const other = yield* subscribe
      yield* log(1)
      expect(Chunk.size(yield* other.takeAll)).toBe(1)
    })
  )
}

/**
 * Proves an adapter's `ActivityFeed` and `ActivityPubSub`: nothing is lost, doubled or out of order for any way of
 * reading.
 *
 * @since 0.1.0
 * @category suites
 */
export const suite = <E>(name: string, layer: Layer.Layer<Services, E>): void => {
  describe(`ActivityFeed: ${name}`, () => {
    describe("feed", () => feed(layer))
    describe("epochs", () => followedEpochs(layer))
    describe("queue", () => queue(layer))
  })
}
