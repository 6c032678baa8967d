import { Sqlite } from "@caravel/sql"
import { SqlClient } from "@effect/sql/SqlClient"
import { describe, expect, it } from "@effect/vitest"
import { Effect, FastCheck as fc, Fiber } from "effect"

/** Who gives up while others wait: before his turn, or when it has just come. */
const leaving = fc.array(fc.constantFrom("stays", "leaves", "leaves when it is his turn"), {
  minLength: 1,
  maxLength: 8
})

describe("transactions on an SQLite file", () => {
  it.scopedLive("come in the order in which they were asked for, whoever leaves", () =>
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
              // Nobody has it any more.
              yield* sql.withTransaction(Effect.void)
            }).pipe(Effect.timeout("10 seconds"), Effect.provide(runtime), Effect.runPromise)),
          { numRuns: 200 }
        )
      )
    }).pipe(Effect.provide(Sqlite.layerTemporary)), 60_000)
})
