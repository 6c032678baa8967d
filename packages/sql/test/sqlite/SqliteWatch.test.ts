import { ActivityFeed, Command, Journal, Query } from "@caravel/domain"
import { nextTurn } from "@caravel/domain/adapter"
import { Sqlite } from "@caravel/sql"
import { SqlClient } from "@effect/sql/SqlClient"
import { describe, expect, it } from "@effect/vitest"
import Database from "better-sqlite3"
import { Chunk, Context, Effect, Exit, Fiber, Layer, Queue, Stream } from "effect"
import { spawnSync } from "node:child_process"
import nodeFs, { mkdtempSync, rmSync, type WatchListener, type WatchOptions } from "node:fs"
import * as fs from "node:fs/promises"
import { syncBuiltinESMExports } from "node:module"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { run } from "../fixtures/process.js"
import { raw, temporaryDirectory } from "../fixtures/sqlite.js"

const pubkey = "a".repeat(64)

describe("a commit of another connection", () => {
  it.scopedLive("arrives in live, since and notify, like this connection's commits", () =>
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

  it.scopedLive("arrives in order and once, while four processes write and two follow", () =>
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

/** Counts the watches of files that are open, of those that are opened from now on. */
const countingWatches = Effect.map(
  Effect.acquireRelease(
    Effect.sync(() => {
      const { watch } = nodeFs
      const watches = { open: 0 }
      const counted = (filename: string, options: WatchOptions, listener: WatchListener<string>) => {
        const watcher = watch(filename, options, listener).on("close", () => watches.open--)
        watches.open++
        return watcher
      }
      Object.assign(nodeFs, { watch: counted })
      syncBuiltinESMExports()
      return { watch, watches }
    }),
    ({ watch }) =>
      Effect.sync(() => {
        Object.assign(nodeFs, { watch })
        syncBuiltinESMExports()
      })
  ),
  ({ watches }) => watches
)

it.scopedLive("the log is watched only while there are no commits, where the file itself is and not a link to it", () =>
  Effect.gen(function*() {
    const watches = yield* countingWatches
    const filename = join(yield* temporaryDirectory, "link.db")
    yield* Effect.promise(() => fs.symlink(join(mkdtempSync(join(dirname(filename), "real-")), "caravel.db"), filename))
    const command = Context.get(yield* Layer.build(Sqlite.layer({ filename })), Command)
    yield* command.createTenant({ pubkey })
    yield* command.createRelay({ id: "a", tenant: pubkey, subdomain: "a" })
    const idle = Effect.repeat(nextTurn, { until: () => watches.open === 1 })
    yield* idle
    yield* Effect.repeat(command.activateRelay({ id: "a" }), { until: () => watches.open === 0 })
    yield* idle
  }))

const mount = (...args: ReadonlyArray<string>) => spawnSync("mount", args, { stdio: "ignore" }).status === 0

/** Whether this user may bind-mount a directory. */
const canMount = (() => {
  const [from, to] = [mkdtempSync(join(tmpdir(), "caravel-test-")), mkdtempSync(join(tmpdir(), "caravel-test-"))]
  const isMounted = mount("--bind", from, to)
  if (isMounted) spawnSync("umount", [to])
  for (const directory of [from, to]) rmSync(directory, { recursive: true })
  return isMounted
})()

if (!canMount) it.skip("skipped: a changed bind mount; this user may not run mount --bind", () => {})

/** Accidents of clean-up scripts, manual restores and volumes. */
const losses: Record<string, (filename: string) => Promise<unknown>> = {
  "the file was replaced": async (filename) => {
    await fs.rename(filename, `${filename}.moved`)
    await fs.writeFile(filename, "")
  },
  "the file was removed": (filename) => fs.rm(filename),
  // Its pages are still only in the log, so the renaming is visible only by the name.
  "the database was renamed": (filename) => fs.rename(filename, `${filename}.moved`),
  "-wal was removed": (filename) => fs.rm(`${filename}-wal`),
  "-shm was removed": (filename) => fs.rm(`${filename}-shm`),
  "both were removed": (filename) => Promise.all([fs.rm(`${filename}-wal`), fs.rm(`${filename}-shm`)]),
  "-wal was replaced": async (filename) => {
    await fs.copyFile(`${filename}-wal`, `${filename}-copy`)
    await fs.rename(`${filename}-copy`, `${filename}-wal`)
  },
  "the directory was renamed": (filename) => fs.rename(dirname(filename), `${dirname(filename)}-moved`),
  "the file was truncated": (filename) => fs.truncate(filename, 4096),
  "the file was emptied": (filename) => fs.truncate(filename, 0),
  "-wal was truncated": (filename) => fs.truncate(`${filename}-wal`, 0),
  ...(canMount && {
    "another directory was mounted in its place": async (filename) => {
      const other = `${dirname(filename)}-other`
      await fs.mkdir(other)
      if (!mount("--bind", other, dirname(filename))) throw new Error("mount --bind failed")
    },
    "a copy of its directory was mounted in its place": async (filename) => {
      const other = `${dirname(filename)}-other`
      await fs.cp(dirname(filename), other, { recursive: true })
      if (!mount("--bind", other, dirname(filename))) throw new Error("mount --bind failed")
    }
  })
}

/** An open database in a directory that may be renamed or mounted over. */
const lossy = Effect.gen(function*() {
  const parent = yield* temporaryDirectory
  const directory = join(parent, "data")
  yield* Effect.promise(() => fs.mkdir(directory))
  // Runs before the database is closed and its directory removed.
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      if (canMount) spawnSync("umount", [directory], { stdio: "ignore" })
    })
  )
  const filename = join(directory, "caravel.db")
  const context = yield* Layer.build(Sqlite.layer({ filename }))
  const command = Context.get(context, Command)
  yield* command.createTenant({ pubkey })
  yield* command.createRelay({ id: "a", tenant: pubkey, subdomain: "a" })
  return { filename, context, command, activate: command.activateRelay({ id: "a" }) }
})

describe("a database whose files are lost while it is open", () => {
  for (const [name, lose] of Object.entries(losses)) {
    it.scopedLive(`stops acknowledging commands within a second when ${name}, and fails all its readers`, () =>
      Effect.gen(function*() {
        const { activate, command, context, filename } = yield* lossy
        const queue = yield* command.notify.subscribe
        const taker = yield* Effect.fork(queue.take)
        const live = yield* Effect.fork(Effect.flip(Stream.runDrain(Context.get(context, ActivityFeed).live)))
        // After this, the file itself has pages, besides those in the log.
        if (name.includes("file was")) {
          yield* Effect.scoped(
            Effect.map(raw(filename), (database) => database.pragma("wal_checkpoint(PASSIVE)"))
          )
        }
        const started = performance.now()
        yield* Effect.promise(() => lose(filename))
        const error = yield* Fiber.join(live)
        expect(performance.now() - started).toBeLessThan(2000)
        expect(error).toMatchObject({ _tag: "StorageError", reason: "replaced" })
        expect(error.message).toContain("while the database was open")
        expect(Exit.isInterrupted(yield* Fiber.await(taker))).toBe(true)
        expect(queue.isActive()).toBe(false)
        const errors = yield* Effect.all([
          Effect.flip(activate),
          Effect.flip(Context.get(context, Query).tenants),
          Effect.flip(Stream.runDrain(Context.get(context, ActivityFeed).since(0)))
        ])
        for (const each of errors) expect(each).toBe(error)
        const plain = yield* Effect.flip(Context.get(context, SqlClient)`SELECT 1`)
        expect(plain.cause).toBe(error)
      }))
  }

  it.scopedLive("acknowledges no command 100 ms after the loss, even before the background watch has noticed", () =>
    Effect.gen(function*() {
      const { activate, context, filename } = yield* lossy
      const { withTransaction } = Context.get(context, SqlClient)
      // No other fiber or timer runs until the commands have been refused.
      yield* Effect.sync(() => {
        rmSync(`${filename}-wal`)
        for (const started = performance.now(); performance.now() - started < 150;);
      })
      expect(yield* Effect.flip(activate)).toMatchObject({ _tag: "StorageError", reason: "replaced" })
      expect(yield* Effect.flip(withTransaction(activate))).toMatchObject({ cause: { reason: "replaced" } })
    }))

  it.scopedLive("does not include one that other programs vacuum, checkpoint, open and close", () =>
    Effect.gen(function*() {
      const { activate, context, filename } = yield* lossy
      const queue = yield* Context.get(context, Command).notify.subscribe
      // Long enough for several checks of the watch.
      const started = performance.now()
      while (performance.now() - started < 1500) {
        const other = yield* Effect.acquireRelease(
          Effect.sync(() => new Database(filename)),
          (database) => Effect.sync(() => database.close())
        ).pipe(
          Effect.map((database) => {
            database.exec("CREATE TABLE junk (x); INSERT INTO junk VALUES (randomblob(300000)); DROP TABLE junk")
            database.exec("VACUUM")
            return database.pragma("wal_checkpoint(TRUNCATE)")
          }),
          Effect.scoped
        )
        expect(other).toMatchObject([{ busy: 0 }])
        yield* Effect.repeatN(activate, 9)
        yield* Context.get(context, Journal).verify.pipe(Stream.runDrain)
        expect((yield* queue.takeBetween(10, 10)).length).toBe(10)
      }
    }))
})
