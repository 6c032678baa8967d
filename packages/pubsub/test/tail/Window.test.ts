import { describe, expect, it } from "@effect/vitest"
import { Effect, FastCheck as fc, Fiber } from "effect"
import { Window } from "../../src/tail/Window.js"
import { activity, position, positionsOf, range } from "../world.js"

const max = Number.POSITIVE_INFINITY

describe("the window", () => {
  it("holds the activities that were broadcast since it began", () => {
    const window = new Window(position(5), 2)
    expect([window.position, window.floor, window.published]).toEqual([5, 5, 0])
    expect([window.covers(position(5)), window.covers(position(4))]).toEqual([true, false])
    window.advance([activity(6), activity(8)], position(9))
    expect([window.position, window.floor, window.published]).toEqual([9, 5, 2])
    expect(positionsOf(window.after(position(5), max))).toEqual([6, 8])
    expect(positionsOf(window.after(position(6), max))).toEqual([8])
    expect(positionsOf(window.after(position(7), max))).toEqual([8])
    expect(positionsOf(window.after(position(5), 1))).toEqual([6])
    expect([5, 6, 7, 8, 9].map((n) => window.count(position(n)))).toEqual([2, 1, 1, 0, 0])
  })

  it("notifies its listeners once for each move", () => {
    const window = new Window(position(0))
    let told = 0
    const listener = () => void told++
    window.listeners.add(listener)
    window.advance([], position(1))
    window.advance([activity(2), activity(3)], position(3))
    window.listeners.delete(listener)
    window.advance([activity(4)], position(4))
    expect(told).toBe(2)
  })

  it.effect("keeps no listener of a fiber that has waited for a move, or was interrupted", () =>
    Effect.gen(function*() {
      const window = new Window(position(0))
      const waiting = yield* Effect.forEach([1, 2], () => Effect.fork(window.awaitAfter(position(0))))
      yield* Effect.yieldNow()
      expect(window.listeners.size).toBe(2)
      yield* Fiber.interrupt(waiting[0]!)
      expect(window.listeners.size).toBe(1)
      window.advance([], position(1))
      expect(yield* Fiber.join(waiting[1]!)).toBe(1)
      expect(window.listeners.size).toBe(0)
    }))

  it("drops its oldest half and reports the position after which it is complete", () => {
    const window = new Window(position(0), 4)
    for (const n of range(1, 7)) window.advance([activity(n)], position(n))
    expect([window.floor, window.count(position(0))]).toEqual([0, 7])
    window.advance([activity(8)], position(8))
    expect([window.floor, window.count(position(4)), window.published]).toEqual([4, 4, 8])
    expect([window.covers(position(3)), window.covers(position(4))]).toEqual([false, true])
    expect(positionsOf(window.after(position(4), max))).toEqual([5, 6, 7, 8])
    window.advance(range(9, 40).map(activity), position(40))
    expect([window.floor, positionsOf(window.after(window.floor, max))]).toEqual([36, range(37, 40)])
  })

  it("returns exactly the activities that were broadcast after a covered position", () => {
    const moves = fc.array(fc.array(fc.boolean(), { maxLength: 9 }), { maxLength: 30 })
    fc.assert(fc.property(moves, fc.integer({ min: 1, max: 6 }), (moves, capacity) => {
      const window = new Window(position(0), capacity)
      const all: Array<number> = []
      let head = 0
      for (const move of moves) {
        const logged = move.flatMap((isLogged) => ++head && isLogged ? [head] : [])
        for (const n of logged) all.push(n)
        window.advance(logged.map(activity), position(head))
        expect(window.covers(position(head))).toBe(true)
        for (const n of range(0, head).filter((n) => window.covers(position(n)))) {
          const expected = all.filter((m) => m > n)
          expect(positionsOf(window.after(position(n), max))).toEqual(expected)
          expect(window.count(position(n))).toBe(expected.length)
        }
        expect(window.count(window.floor)).toBeLessThan(2 * capacity)
      }
      expect(window.published).toBe(all.length)
    }))
  })
})
