/** A journal that is restored from a backup while readers follow it. */
import { ActivityFeed, ActivityPubSub, StorageError } from "@caravel/domain"
import { Consumer, InProcess, Tail, Waiting } from "@caravel/pubsub"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, type Scope, Stream, TestClock } from "effect"
import { Store } from "../store.js"
import { epoch, event, pageSize, position, positionsOf, range, World } from "../world.js"

const name = "c"
const from = "beginning"

const layerOf = (world: World, store: Store) =>
  Consumer.layerService.pipe(
    Layer.provideMerge(InProcess.layer),
    Layer.provide(Layer.merge(world.layer, store.layer))
  )

type Services = Consumer.Consumer | Tail.Tail | ActivityPubSub | ActivityFeed | Scope.Scope

const test = <A, E>(title: string, body: (world: World, store: Store) => Effect.Effect<A, E, Services>) =>
  it.scoped(title, () =>
    Effect.suspend(() => {
      const world = new World()
      const store = new Store()
      return Effect.provide(body(world, store), layerOf(world, store))
    }).pipe(Effect.provideServiceEffect(Waiting.Waiting, Effect.clock)))

/** Commits `count` events and announces only the last, so that the others have to be read. */
const append = (world: World, count: number) =>
  Effect.flatMap(Tail.Tail, (tail) => tail.broadcast([event(world.commit(count))]))

/** More than the shared window holds. */
const overflow = 5000

/** Lets every fiber run as far as it can. */
const settle = Effect.repeatN(Effect.yieldNow(), 12)

/** Rewinds the journal and commits more while a feed reads its first event. Returns the feed's error and positions. */
const rewindWhileReading = (world: World, rewind: () => void) =>
  Effect.gen(function*() {
    const feed = yield* ActivityFeed
    const received: Array<number> = []
    const error = yield* feed.since(0).pipe(
      Stream.runForEach(({ position }) =>
        Effect.sync(() => {
          received.push(position)
          if (position !== 1) return
          rewind()
          world.commit(overflow)
        })
      ),
      Effect.flip
    )
    return [error, received] as const
  })

const run = Consumer.run({ name, from, handle: () => Effect.void })

/** Runs the consumer over three events, and stops it. */
const stoppedAfterThree = (world: World) =>
  Effect.gen(function*() {
    yield* append(world, 3)
    const fiber = yield* Effect.fork(run)
    yield* Consumer.awaitPosition(name, 3)
    yield* Fiber.interrupt(fiber)
  })

/** The consumer's errors in another process, which knows nothing of the earlier timeline. */
const errorsOfAnotherProcess = (world: World, store: Store) =>
  Effect.all([
    Effect.flip(run),
    Effect.flip(Consumer.replay({ name, handle: () => Effect.void })),
    Effect.flip(Consumer.requestReplay(name))
  ]).pipe(Effect.provide(layerOf(world, store)))

describe("a journal that is restored", () => {
  const failed = { _tag: "PositionFromOtherEpoch", epoch, common: 2 }

  test("fails live feeds, feeds since a position and later readers, as soon as the tail reads it", (world) =>
    Effect.gen(function*() {
      const feed = yield* ActivityFeed
      yield* append(world, 3)
      const readers = yield* Effect.forEach(
        [feed.live, feed.since(3)],
        (stream) => Effect.fork(Effect.flip(Stream.runDrain(stream)))
      )
      yield* settle
      // The restored journal ends before the last broadcast, so there is nothing to read.
      world.restore(2)
      yield* (yield* Tail.Tail).advanceToHead
      for (const reader of readers) expect(yield* Fiber.join(reader)).toMatchObject(failed)
      expect(yield* Effect.flip(Stream.runDrain(feed.live))).toMatchObject(failed)
      expect(yield* Effect.flip((yield* Tail.Tail).awaitAfter(position(3)))).toMatchObject(failed)
    }))

  test("shows nothing of the new timeline to a reader that catches up, even before the tail reads it", (world) =>
    Effect.gen(function*() {
      yield* append(world, overflow)
      expect(yield* rewindWhileReading(world, () => world.restore(2))).toEqual([
        expect.objectContaining(failed),
        range(1, pageSize)
      ])
    }))

  test("is not broadcast", (world) =>
    Effect.gen(function*() {
      const queue = yield* Effect.flatMap(ActivityPubSub, ({ subscribe }) => subscribe)
      yield* append(world, 3)
      world.restore(2)
      yield* append(world, 5)
      yield* TestClock.adjust("1 minute")
      expect(positionsOf(yield* queue.takeAll)).toEqual([1, 2, 3])
    }))
})

describe("a journal that goes back in the same epoch, like a lagging replica that was promoted", () => {
  const failed = { _tag: "PositionFromOtherEpoch", epoch, current: epoch }

  const wakeUp = Effect.flatMap(Tail.Tail, (tail) => tail.advanceToHead)

  /** How it goes on, and how this process notices: by a wake-up, or by its own commit. */
  const ways: Record<string, (world: World) => Effect.Effect<unknown, never, Tail.Tail>> = {
    "ends before the last broadcast": () => wakeUp,
    "has other events at those positions": (world) => Effect.zipRight(Effect.sync(() => world.commit(3)), wakeUp),
    "has more events than before": (world) => Effect.zipRight(Effect.sync(() => world.commit(overflow)), wakeUp),
    "commits a command of this process at a position that was broadcast": (world) =>
      Effect.flatMap(Tail.Tail, (tail) => tail.broadcast([event(world.commit(1), true, world.timeline)]))
  }

  for (const [way, go] of Object.entries(ways)) {
    test(`ends every feed, queue and consumer when it ${way}`, (world) =>
      Effect.gen(function*() {
        const feed = yield* ActivityFeed
        yield* append(world, 10)
        const queue = yield* Effect.flatMap(ActivityPubSub, ({ subscribe }) => subscribe)
        const taker = yield* Effect.fork(queue.take)
        const seen: Array<string> = []
        const note = ({ id }: { readonly id: string }) => Effect.sync(() => void seen.push(id))
        const followers = yield* Effect.forEach(
          [
            Stream.runForEach(feed.live, note),
            Stream.runForEach(feed.since(0), note),
            Consumer.run({ name, from, handle: note })
          ],
          (follow) => Effect.fork(Effect.flip(follow))
        )
        yield* Consumer.awaitPosition(name, 10)
        const known = new Set(seen)
        world.goBack(5)
        yield* go(world)
        for (const follower of followers) {
          expect(yield* Fiber.join(follower)).toMatchObject({ ...failed, common: 5 })
        }
        expect(Exit.isInterrupted(yield* Fiber.await(taker))).toBe(true)
        expect(yield* queue.isShutdown).toBe(true)
        yield* queue.awaitShutdown
        expect(seen.filter((id) => !known.has(id))).toEqual([])
        expect((yield* Effect.flatMap(ActivityPubSub, ({ subscribe }) => subscribe)).isActive()).toBe(false)
      }))
  }

  test("shows none of its new events to a reader that catches up, even before the tail reads it", (world) =>
    Effect.gen(function*() {
      const feed = yield* ActivityFeed
      yield* append(world, overflow)
      expect(yield* rewindWhileReading(world, () => world.goBack(pageSize))).toEqual([
        expect.objectContaining(failed),
        range(1, pageSize)
      ])
      expect(yield* Effect.flip(Stream.runDrain(feed.live))).toMatchObject(failed)
    }))

  test("fails a consumer whose checkpoint is after its head", (world, store) =>
    Effect.gen(function*() {
      yield* stoppedAfterThree(world)
      world.goBack(2)
      const errors = yield* errorsOfAnotherProcess(world, store)
      for (const error of errors) expect(error).toMatchObject({ ...failed, position: 3, common: 2 })
    }))

  test("leaves earlier broadcasts to subscribers that have yet to take them", (world) =>
    Effect.gen(function*() {
      const queue = yield* Effect.flatMap(ActivityPubSub, ({ subscribe }) => subscribe)
      yield* append(world, 3)
      world.goBack(2)
      yield* (yield* Tail.Tail).advanceToHead
      expect(queue.isActive()).toBe(true)
      expect(positionsOf(yield* queue.takeAll)).toEqual([1, 2, 3])
      expect(queue.isActive()).toBe(false)
      expect(Exit.isInterrupted(yield* Effect.exit(queue.take))).toBe(true)
    }))
})

describe("a restore", () => {
  const replaced = new StorageError({ reason: "replaced", operation: "test", cause: new Error("restored") })

  for (const options of [{}, { transactional: true }, { concurrency: 3 }]) {
    test(
      `ends a consumer before it handles anything of the new timeline: ${JSON.stringify(options)}`,
      (world) =>
        Effect.gen(function*() {
          const handled: Array<number> = []
          yield* append(world, 3)
          const fiber = yield* Effect.fork(Effect.flip(Consumer.run({
            name,
            from,
            handle: ({ position }) => Effect.sync(() => void handled.push(position)),
            ...options
          })))
          yield* Consumer.awaitPosition(name, 3)
          world.restore(2)
          const head = world.commit(2)
          yield* (yield* Tail.Tail).broadcast([event(head)])
          expect(yield* Fiber.join(fiber)).toMatchObject({ _tag: "PositionFromOtherEpoch", common: 2 })
          expect(handled).toEqual([1, 2, 3])
        })
    )
  }

  test("fails a fiber that awaits a consumer's position", (world) =>
    Effect.gen(function*() {
      yield* append(world, 3)
      const waiting = yield* Effect.fork(Effect.flip(Consumer.awaitPosition(name, 3)))
      yield* settle
      world.restore(2)
      yield* TestClock.adjust("50 millis")
      expect(yield* Fiber.join(waiting)).toMatchObject({ _tag: "PositionFromOtherEpoch", position: 3, common: 2 })
    }))

  test(
    "fails it with PositionFromOtherEpoch also if the storage refuses to read the checkpoint",
    (world, store) =>
      Effect.gen(function*() {
        yield* append(world, 3)
        store.beforeFind = Effect.suspend(() => {
          world.restore(2)
          return replaced
        })
        const error = yield* Effect.flip(Consumer.awaitPosition(name, 3))
        expect(error).toMatchObject({ _tag: "PositionFromOtherEpoch", common: 2 })
      })
  )

  test(
    "ends a consumer with PositionFromOtherEpoch if the storage refuses its write",
    (world, store) =>
      Effect.gen(function*() {
        yield* append(world, 3)
        store.beforeMove = () => {
          world.restore(2)
          return replaced
        }
        const error = yield* Effect.flip(Consumer.run({ name, from, handle: () => Effect.void }))
        expect(error).toMatchObject({ _tag: "PositionFromOtherEpoch", common: 2 })
      })
  )

  test(
    "ends a consumer with PositionFromOtherEpoch if the storage refuses reads once the tail has noticed",
    (world, store) =>
      Effect.gen(function*() {
        const tail = yield* Tail.Tail
        yield* append(world, 3)
        store.beforeMove = () => {
          world.restore(2)
          // The tail reads the restored journal while the consumer looks for the reason of the refusal.
          world.beforeEpoch = Effect.zipRight(
            Effect.suspend(() => {
              world.beforeEpoch = Effect.void
              return tail.advanceToHead
            }),
            replaced
          )
          return replaced
        }
        const error = yield* Effect.flip(run)
        expect(error).toMatchObject({ _tag: "PositionFromOtherEpoch", common: 2 })
      })
  )

  test("keeps a stopped consumer from continuing and from replaying", (world, store) =>
    Effect.gen(function*() {
      yield* stoppedAfterThree(world)
      world.restore(2)
      store.position = world.activities[0]!.position
      const errors = yield* errorsOfAnotherProcess(world, store)
      for (const error of errors) {
        expect(error).toMatchObject({ _tag: "PositionFromOtherEpoch", position: 1, common: 2 })
      }
    }))
})
