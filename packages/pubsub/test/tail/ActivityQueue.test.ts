/** Several fibers take from one queue that lags. */
import { ActivityPubSub } from "@caravel/domain"
import { nextTurn } from "@caravel/domain/adapter"
import { InProcess, Tail } from "@caravel/pubsub"
import { expect, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Layer, type Scope } from "effect"
import { event, positionsOf, range, World } from "../world.js"

const test = <A, E>(
  name: string,
  body: (world: World) => Effect.Effect<A, E, Tail.Tail | ActivityPubSub | Scope.Scope>
) =>
  it.effect(name, () =>
    Effect.suspend(() => {
      const world = new World()
      return body(world).pipe(Effect.scoped, Effect.provide(Layer.provide(InProcess.layer, world.layer)))
    }), 5_000)

const subscribe = Effect.flatMap(ActivityPubSub, ({ subscribe }) => subscribe)

const append = (world: World, count: number) =>
  Effect.flatMap(Tail.Tail, (tail) => tail.broadcast([event(world.commit(count))]))

/** More than the shared window holds. */
const overflow = 5001

const sorted = (positions: ReadonlyArray<number>) => positions.toSorted((one, other) => one - other)

test("of two that take all, one gets everything and the other nothing", (world) =>
  Effect.gen(function*() {
    const queue = yield* subscribe
    yield* append(world, overflow)
    const taken = yield* Effect.all([queue.takeAll, queue.takeAll], { concurrency: "unbounded" })
    expect(taken.map(positionsOf)).toEqual([range(1, overflow), []])
    yield* append(world, 2)
    expect(positionsOf(yield* queue.takeAll)).toEqual([overflow + 1, overflow + 2])
  }))

test("none that takes what there is waits for what others took meanwhile, and each activity is taken once", (world) =>
  Effect.gen(function*() {
    const queue = yield* subscribe
    yield* append(world, overflow)
    const readable = yield* Deferred.make<void>()
    world.beforeRead = Deferred.await(readable)
    const one = yield* Effect.fork(queue.take)
    const all = yield* Effect.fork(queue.takeAll)
    const some = yield* Effect.fork(queue.takeBetween(2, 3))
    const most = yield* Effect.fork(queue.takeUpTo(overflow))
    yield* nextTurn
    yield* Deferred.succeed(readable, undefined)
    const present = [...yield* Fiber.join(all), ...yield* Fiber.join(most)]
    // Enough for those that wait for a minimum, if all was taken before them.
    yield* append(world, 4)
    const awaited = [yield* Fiber.join(one), ...yield* Fiber.join(some)]
    const taken = positionsOf([...present, ...awaited, ...yield* queue.takeAll])
    expect(sorted(taken)).toEqual(range(1, world.head))
  }))

test("one that is interrupted while it reads takes nothing, and the others continue", (world) =>
  Effect.gen(function*() {
    const queue = yield* subscribe
    yield* append(world, overflow)
    const readable = yield* Deferred.make<void>()
    world.beforeRead = Deferred.await(readable)
    const interrupted = yield* Effect.fork(queue.takeAll)
    const other = yield* Effect.fork(queue.takeAll)
    yield* nextTurn
    yield* Fiber.interrupt(interrupted)
    yield* Deferred.succeed(readable, undefined)
    expect(positionsOf(yield* Fiber.join(other))).toEqual(range(1, overflow))
  }))
