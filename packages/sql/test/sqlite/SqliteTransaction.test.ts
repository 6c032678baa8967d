import { Sqlite } from "@caravel/sql"
import { SqlClient } from "@effect/sql/SqlClient"
import { describe, expect, it } from "@effect/vitest"
import { Effect, FastCheck as fc, Fiber, FiberId } from "effect"

/** Which waiting transactions are interrupted: while they wait, or just when it is their turn. */
const leaving = fc.array(fc.constantFrom("stays", "leaves", "leaves when it is his turn"), {
  minLength: 1,
  maxLength: 8
})

/** Runs this number of steps of the fiber, which yields after 2048. */
const steps = (count: number) =>
  Effect.suspend(() => {
    let done = 0
    return Effect.whileLoop({ while: () => done++ < count, body: () => Effect.void, step: () => {} })
  })

describe("transactions on an SQLite file", () => {
  for (const name of ["transaction", "statement"] as const) {
    it.scopedLive(`pass the lock on if a ${name} is interrupted at any step`, () =>
      Effect.gen(function*() {
        const sql = yield* SqlClient
        for (let before = 1990; before < 2050; before++) {
          const leaving = yield* Effect.fork(
            Effect.zipRight(steps(before), name === "statement" ? sql`SELECT 1` : sql.withTransaction(Effect.void))
          )
          yield* Effect.yieldNow()
          yield* Fiber.interruptAsFork(leaving, FiberId.none)
          yield* Fiber.await(leaving)
          yield* sql.withTransaction(Effect.void).pipe(Effect.timeoutFail({
            duration: "5 seconds",
            onTimeout: () => `nobody passes it on after ${before} steps`
          }))
        }
      }).pipe(Effect.provide(Sqlite.layerTemporary)), 60_000)
  }

  it.scopedLive("run in the order of their requests, even if some are interrupted", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient
      const runtime = yield* Effect.runtime<never>()
      yield* Effect.promise(() =>
        fc.assert(
          fc.asyncProperty(leaving, (ways) =>
            Effect.gen(function*() {
              const gate = yield* Effect.makeLatch()
              const order: Array<number> = []
              const first = yield* Effect.fork(sql.withTransaction(gate.await))
              yield* Effect.yieldNow()
              const fibers = yield* Effect.forEach(ways, (_, n) =>
                Effect.zipLeft(
                  Effect.fork(sql.withTransaction(Effect.zipRight(sql`SELECT 1`, Effect.sync(() => order.push(n))))),
                  Effect.yieldNow()
                ))
              const leave = (way: string) =>
                Effect.forEach(fibers, (fiber, n) => ways[n] === way ? Fiber.interruptFork(fiber) : Effect.void)
              yield* leave("leaves")
              yield* gate.open
              yield* Effect.zipRight(Effect.yieldNow(), leave("leaves when it is his turn"))
              yield* Fiber.join(first)
              yield* Effect.forEach(fibers, (fiber) => Fiber.await(fiber))
              const stayed = ways.flatMap((way, n) => way === "stays" ? [n] : [])
              expect(order).toEqual([...order].sort((a, b) => a - b))
              expect(order).toEqual(expect.arrayContaining(stayed))
              // The lock is free.
              yield* sql.withTransaction(Effect.void)
            }).pipe(Effect.timeout("10 seconds"), Effect.provide(runtime), Effect.runPromise)),
          { numRuns: 200 }
        )
      )
    }).pipe(Effect.provide(Sqlite.layerTemporary)), 60_000)
})
