/** `Journal.rebuild` on a database file: locks, transactions, and the order of writes. */
import { Command, Journal, Query } from "@caravel/domain"
import { Sqlite } from "@caravel/sql"
import { SqlClient } from "@effect/sql/SqlClient"
import { describe, expect, it } from "@effect/vitest"
import { Deferred, Effect, Fiber } from "effect"
import { join } from "node:path"
import { backdoor } from "../fixtures/backdoor.js"
import { count, filled, filledWith, statements, test, verify } from "../fixtures/filled.js"
import { raw, temporaryDirectory } from "../fixtures/sqlite.js"

describe("a rebuild", () => {
  it.scopedLive("makes writers wait, and refuses those of other processes that do not wait", () =>
    Effect.gen(function*() {
      const filename = join(yield* temporaryDirectory, "caravel.db")
      yield* Effect.gen(function*() {
        yield* filled
        yield* statements("DELETE FROM caravel_relay WHERE id = 'r1'")
        const journal = yield* Journal
        const command = yield* Command
        const process = yield* raw(filename)
        process.pragma("busy_timeout = 0")
        let writing: Fiber.Fiber<unknown, Effect.Effect.Error<ReturnType<typeof command.activateRelay>>> | undefined
        const written = yield* journal.rebuild(() =>
          Effect.gen(function*() {
            expect(() => process.exec("BEGIN IMMEDIATE")).toThrow("database is locked")
            writing ??= yield* Effect.forkDaemon(command.activateRelay({ id: "r1" }))
            expect(yield* Fiber.poll(writing)).toMatchObject({ _tag: "None" })
          })
        )
        expect(written).toBe(1)
        expect(yield* Fiber.join(writing!)).toMatchObject({ resourceId: "r1", position: count + 2 })
        process.exec("BEGIN IMMEDIATE; COMMIT")
      }).pipe(Effect.provide(Sqlite.layer({ filename })))
    }))

  test(
    "that is interrupted changes nothing and holds no lock",
    Effect.gen(function*() {
      yield* filled
      yield* statements("DELETE FROM caravel_relay")
      const before = yield* backdoor.dump
      const journal = yield* Journal
      const reached = yield* Deferred.make<void>()
      const fiber = yield* Effect.fork(
        journal.rebuild(({ events }) =>
          events > count ? Effect.zipRight(Deferred.succeed(reached, undefined), Effect.never) : Effect.void
        )
      )
      yield* Deferred.await(reached)
      yield* Fiber.interrupt(fiber)
      expect(yield* backdoor.dump).toEqual(before)
      expect(yield* journal.rebuild()).toBe(count)
      expect((yield* (yield* Query).relays).length).toBe(count)
    })
  )

  test(
    "writes relays before their tenant if their ids sort before it",
    Effect.gen(function*() {
      yield* filledWith("0-")
      const before = yield* backdoor.dump
      yield* statements("DELETE FROM caravel_relay", "DELETE FROM caravel_tenant")
      expect(yield* Effect.flatMap(Journal, (journal) => journal.rebuild())).toBe(count + 1)
      expect(yield* backdoor.dump).toEqual(before)
    })
  )

  test(
    "in a caller's transaction is rolled back with it",
    Effect.gen(function*() {
      yield* filled
      yield* statements("DELETE FROM caravel_relay")
      const sql = yield* SqlClient
      const journal = yield* Journal
      const before = yield* backdoor.dump
      const rolledBack = Effect.zipRight(journal.rebuild(), Effect.fail("no"))
      expect(yield* Effect.flip(sql.withTransaction(rolledBack))).toBe("no")
      expect(yield* backdoor.dump).toEqual(before)
      expect(yield* sql.withTransaction(journal.rebuild())).toBe(count)
      expect((yield* verify).differences).toEqual([])
    })
  )
})
