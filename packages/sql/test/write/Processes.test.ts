import { Journal, Position, Query } from "@caravel/domain"
import { Sqlite } from "@caravel/sql"
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { join } from "node:path"
import { run } from "../fixtures/process.js"
import { raw, temporaryDirectory } from "../fixtures/sqlite.js"

describe("several processes on one file", () => {
  it.scopedLive("migrate once and commit in one order, without errors", () =>
    Effect.gen(function*() {
      const filename = join(yield* temporaryDirectory, "missing", "parents", "caravel.db")
      const tenant = "b".repeat(64)
      const results = yield* Effect.forEach(["p", "q", "r"], (prefix) =>
        run("./writer.ts", [filename, tenant, prefix, "100"]), { concurrency: "unbounded" })
      for (const result of results) {
        expect(result).toEqual({ code: 0, stdout: "100\n", stderr: "" })
      }

      const database = yield* raw(filename)
      const migrations = database.prepare("SELECT migration_id FROM caravel_migrations WHERE migration_id > 0").pluck()
        .all()
      expect(migrations).toEqual(migrations.map((_, index) =>
        index + 1
      ))
      yield* Effect.gen(function*() {
        const journal = yield* Journal
        const positions = (yield* journal.read(Position.make(0), 1000)).map(({ position }) => position)
        expect(positions).toEqual(Array.from({ length: 301 }, (_, index) => index + 1))
        expect(yield* (yield* Query).relaysOf(tenant)).toHaveLength(300)
      }).pipe(Effect.provide(Sqlite.layer({ filename })))
    }), 60_000)
})

describe("20,000 commands with 50 undrained queues and a slow reader", () => {
  it.scopedLive("lose nothing, in less than 100 MiB", () =>
    Effect.gen(function*() {
      const filename = join(yield* temporaryDirectory, "caravel.db")
      const result = yield* run("./flood.ts", [filename], { node: ["--expose-gc"] })
      expect(result.stderr).toBe("")
      const { grown, ...complete } = JSON.parse(result.stdout)
      expect(complete).toEqual({ waiting: true, received: true, slow: true })
      expect(grown / 2 ** 20).toBeLessThan(100)
    }), 120_000)
})
