import { ActivityFeed, Command, Query, StorageError } from "@caravel/domain"
import { Sqlite } from "@caravel/sql"
import { SqlClient } from "@effect/sql/SqlClient"
import { describe, expect, it } from "@effect/vitest"
import { Chunk, Context, Effect, Fiber, Layer, Queue, Stream } from "effect"
import * as fs from "node:fs/promises"
import { join } from "node:path"
import { run } from "./fixtures/process.js"
import { temporaryDirectory } from "./fixtures/sqlite.js"

const pubkey = "a".repeat(64)

describe("what another connection commits", () => {
  it.scopedLive("comes by live, since and notify, like what is committed here", () =>
    Effect.gen(function*() {
      const filename = join(yield* temporaryDirectory, "caravel.db")
      const here = yield* Layer.build(Sqlite.layer({ filename }))
      const there = yield* Layer.build(Sqlite.layer({ filename }))
      const feed = Context.get(here, ActivityFeed)
      const queue = yield* Context.get(here, Command).notify.subscribe
      const live = yield* Effect.fork(Stream.runCollect(Stream.take(feed.live, 3)))
      const since = yield* Effect.fork(Stream.runCollect(Stream.take(feed.since(0), 3)))
      yield* Effect.yieldNow()
      yield* Context.get(there, Command).createTenant({ pubkey })
      yield* Context.get(there, Command).createRelay({ id: "a", tenant: pubkey, subdomain: "a" })
      yield* Queue.take(queue)
      yield* Context.get(here, Command).deactivateRelay({ id: "a" })
      const positions = (activities: Iterable<{ readonly position: number }>) =>
        Array.from(activities, ({ position }) => position)
      expect(positions(yield* Fiber.join(live))).toEqual([1, 2, 3])
      expect(positions(yield* Fiber.join(since))).toEqual([1, 2, 3])
      expect(positions(Chunk.toReadonlyArray(yield* Queue.takeBetween(queue, 2, 9)))).toEqual([2, 3])
    }))

  it.scopedLive("comes in order, once, while four processes write and two follow", () =>
    Effect.gen(function*() {
      const filename = join(yield* temporaryDirectory, "caravel.db")
      const tenant = "b".repeat(64)
      const writers = ["p", "q", "r", "s"].map((prefix) => run("./writer.ts", [filename, tenant, prefix, "2000", "10"]))
      const followers = [1, 2].map(() => run("./follower.ts", [filename, String(1 + 4 * 1800)]))
      const [written, followed] = yield* Effect.all([
        Effect.all(writers, { concurrency: "unbounded" }),
        Effect.all(followers, { concurrency: "unbounded" })
      ], { concurrency: "unbounded" })
      for (const result of written) expect(result).toEqual({ code: 0, stdout: "1800\n", stderr: "" })
      for (const { code, stderr, stdout } of followed) {
        expect({ code, stderr }).toEqual({ code: 0, stderr: "" })
        expect(JSON.parse(stdout)).toMatchObject({ received: 7201, ordered: true, queued: true })
        yield* Effect.logInfo(
          `a follower received 7201 activities, ${JSON.parse(stdout).medianAge} ms old in the median`
        )
      }
    }), 180_000)
})

describe("a file that is replaced while it is open", () => {
  it.scopedLive("is a StorageError for readers, followers and writers", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const filename = join(directory, "caravel.db")
      const context = yield* Layer.build(Sqlite.layer({ filename }))
      const command = Context.get(context, Command)
      yield* command.createTenant({ pubkey })
      const live = yield* Effect.fork(Effect.flip(Stream.runDrain(Context.get(context, ActivityFeed).live)))
      yield* Effect.promise(() => fs.rename(filename, join(directory, "moved.db")))
      yield* Effect.promise(() => fs.writeFile(filename, ""))
      const error = yield* Fiber.join(live)
      expect(error).toBeInstanceOf(StorageError)
      expect(error.message).toContain("the file was replaced or removed while it was open")
      const errors = yield* Effect.all([
        Effect.flip(command.createTenant({ pubkey: "b".repeat(64) })),
        Effect.flip(Context.get(context, Query).tenants),
        Effect.flip(Stream.runDrain(Context.get(context, ActivityFeed).since(0)))
      ])
      for (const each of errors) expect(each).toBe(error)
      const plain = yield* Effect.flip(Context.get(context, SqlClient)`SELECT 1`)
      expect(plain.cause).toBe(error)
    }))
})
