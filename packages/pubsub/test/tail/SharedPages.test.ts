import { describe, expect, it } from "@effect/vitest"
import { Context, Effect, FastCheck as fc, Layer } from "effect"
import * as ActivityLog from "../../src/tail/ActivityLog.js"
import { pageSize } from "../../src/tail/Subscription.js"
import * as Tail from "../../src/tail/Tail.js"
import { position, positionsOf, range, World } from "../world.js"

/** A tail that begins at the head of a journal, with so many events that all but the last few are read again. */
const tailOf = (world: World) =>
  Effect.map(
    Layer.build(Layer.provide(Tail.layer, Layer.provideMerge(ActivityLog.layer, world.layer))),
    (context) => Context.get(context, Tail.Tail)
  )

const all = (subscription: ReturnType<typeof Tail.Tail.Service.subscribe>, count: number, most: number) =>
  Effect.gen(function*() {
    const taken: Array<number> = []
    while (taken.length < count) {
      for (const n of positionsOf(yield* subscription.take(1, most))) taken.push(n)
    }
    return taken
  })

describe("pages of the journal", () => {
  it.scopedLive("are read once by subscriptions that lag about as far", () =>
    Effect.gen(function*() {
      const world = new World()
      world.commit(10 * pageSize)
      const tail = yield* tailOf(world)
      const before = world.reads
      // As after a reconnection: each continues somewhere in the same page.
      const subscriptions = range(0, 99).map((n) => [n, tail.subscribe(position(5 * pageSize + n))] as const)
      const firsts = yield* Effect.forEach(
        subscriptions,
        ([, subscription]) => subscription.take(1, 2),
        { concurrency: "unbounded" }
      )
      expect(world.reads - before).toBe(1)
      expect(firsts.map(positionsOf)).toEqual(
        range(0, 99).map((n) => range(5 * pageSize + n + 1, 5 * pageSize + n + 2))
      )
      // The activities are the same objects, so that what is encoded for one is encoded for all.
      expect(firsts[0]![1]).toBe(firsts[1]![0])
    }))

  it.effect(
    "are complete wherever a subscription begins, whatever others read",
    () =>
      Effect.promise(() =>
        fc.assert(
          fc.asyncProperty(
            fc.array(fc.record({ from: fc.nat(3 * pageSize), most: fc.integer({ min: 1, max: 2 * pageSize }) }), {
              minLength: 1,
              maxLength: 5
            }),
            fc.integer({ min: 1, max: 7 }),
            (readers, every) =>
              Effect.runPromise(Effect.scoped(Effect.gen(function*() {
                const world = new World()
                world.commit(3 * pageSize + 100, (n) => n % every === 0)
                const tail = yield* tailOf(world)
                const expected = (from: number) => positionsOf(world.activities).filter((n) => n > from)
                yield* Effect.forEach(readers, ({ from, most }) =>
                  Effect.gen(function*() {
                    const read = yield* all(tail.subscribe(position(from)), expected(from).length, most)
                    expect(read).toEqual(expected(from))
                  }), { concurrency: "unbounded" })
              })))
          ),
          { numRuns: 30 }
        )
      ),
    60_000
  )

  it.scopedLive("that have been read are not served once broadcasting has ended", () =>
    Effect.gen(function*() {
      const world = new World()
      world.commit(5 * pageSize)
      const tail = yield* tailOf(world)
      const kept = tail.subscribe(position(0))
      yield* kept.take(1, 1)
      world.restore(pageSize)
      yield* tail.advanceToHead
      expect(yield* Effect.flip(tail.subscribe(position(0)).take(1, 1))).toMatchObject({
        _tag: "PositionFromOtherEpoch"
      })
    }))
})
