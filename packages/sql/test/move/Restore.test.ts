import { Command, Journal, Query } from "@caravel/domain"
import { Backup, Sqlite } from "@caravel/sql"
import { describe, expect, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Layer } from "effect"
import {
  chmodSync,
  copyFileSync,
  existsSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync
} from "node:fs"
import { join } from "node:path"
import { contents, world } from "../fixtures/backup.js"
import { bundled, spawned } from "../fixtures/child.js"
import { file } from "../fixtures/copying.js"
import { suite } from "../fixtures/restoring.js"
import { raw } from "../fixtures/sqlite.js"

/** Gives a closed database another page size. */
const resized = (filename: string, pageSize: number) =>
  Effect.scoped(Effect.map(raw(filename), (database) => {
    database.pragma("journal_mode = DELETE")
    database.pragma(`page_size = ${pageSize}`)
    database.exec("VACUUM")
  }))

/** What may exist at the place that a backup is restored to. */
const targets: Record<string, (filename: string) => void> = {
  "nothing": () => {},
  "an empty file": (filename) => writeFileSync(filename, ""),
  "a log without its database": (filename) => writeFileSync(`${filename}-wal`, "x".repeat(10_000)),
  "text": (filename) => writeFileSync(filename, "these are my notes"),
  "a truncated database": (filename) => truncateSync(filename, 9000),
  "a database that is damaged inside": (filename) => {
    const bytes = readFileSync(filename)
    writeFileSync(filename, bytes.fill(0xab, 3800, bytes.length / 2))
  }
}

describe("a restored database", () => {
  it.scopedLive("equals the backup, in an epoch that begins at the backup's end", () =>
    Effect.gen(function*() {
      const { directory, from, to } = yield* world
      yield* Backup.backup({ from, to })
      const back = join(directory, "deeper", "restored.db")
      const restored = yield* Backup.restore({ from: to, to: back })
      expect(restored.position).toBe(1201)
      expect((yield* contents(back)).events).toEqual((yield* contents(to)).events)
      const epochs = (filename: string) =>
        Effect.provide(Effect.flatMap(Journal, (journal) => journal.epochs), Sqlite.layer({ filename }))
      expect(yield* epochs(back)).toMatchObject([...yield* epochs(to), { epoch: restored.epoch, position: 1201 }])
      expect(yield* epochs(to)).toHaveLength(1)
      yield* Effect.gen(function*() {
        expect((yield* (yield* Command).activateRelay({ id: "r0" })).position).toBe(1202)
        expect((yield* (yield* Query).relays).length).toBe(1200)
      }).pipe(Effect.provide(Sqlite.layer({ filename: back })))
    }))

  for (const [name, make] of Object.entries(targets)) {
    it.scopedLive(`replaces ${name}`, () =>
      Effect.gen(function*() {
        const { directory, from, to } = yield* world
        yield* Backup.backup({ from, to })
        const back = join(directory, "restored.db")
        if (name.startsWith("a database") || name.startsWith("a truncated")) writeFileSync(back, readFileSync(to))
        make(back)
        if (existsSync(back)) chmodSync(back, 0o640)
        yield* Backup.restore({ from: to, to: back, overwrite: true })
        expect(readdirSync(directory).filter((file) => file.startsWith("restored"))).toEqual(["restored.db"])
        // Only its user may read a new one.
        expect(statSync(back).mode & 0o777).toBe(/nothing|without/.test(name) ? 0o600 : 0o640)
        const { events, verified } = yield* contents(back)
        expect(events).toHaveLength(1201)
        expect(verified.differences).toEqual([])
      }))
  }

  for (const [ofBackup, ofTarget] of [[4096, 8192], [8192, 4096], [1024, 65536]] as const) {
    it.scopedLive(
      `with pages of ${ofTarget} bytes is replaced by a backup with pages of ${ofBackup}, also while it is open`,
      () =>
        Effect.gen(function*() {
          const { directory, from, to } = yield* world
          yield* resized(from, ofBackup)
          const theirs = yield* raw(from)
          theirs.exec("CREATE TABLE note (text TEXT); INSERT INTO note VALUES ('one'), ('two'), ('three')")
          theirs.exec("DELETE FROM note WHERE text = 'two'")
          yield* Backup.backup({ from, to })
          const back = join(directory, "restored.db")
          copyFileSync(to, back)
          yield* resized(back, ofTarget)
          // As long as it is not opened, it is not in WAL mode.
          yield* contents(back)
          // A missing database gets the pages of the backup, and an existing one keeps its own.
          const pageSizes = Effect.forEach([to, back], (filename) =>
            Effect.map(raw(filename), (database) => database.pragma("page_size", { simple: true })))
          expect(yield* Effect.scoped(pageSizes)).toEqual([ofBackup, ofTarget])

          yield* Backup.restore({ from: to, to: back, overwrite: true })
          const isOpen = yield* Layer.build(Sqlite.layer({ filename: back }))
          const activate = Effect.flatMap(Command, (command) =>
            command.activateRelay({ id: "r0" }))
          yield* Effect.provide(activate, isOpen)
          const child = yield* spawned(yield* bundled("./restore.ts"), [to, JSON.stringify(back)])
          yield* child.ended
          expect(child.errors).toBe("")
          expect(yield* Effect.flip(Effect.provide(activate, isOpen))).toMatchObject({ reason: "replaced" })
          yield* Backup.restore({ from: to, to: back, overwrite: true })

          expect(yield* Effect.scoped(pageSizes)).toEqual([ofBackup, ofTarget])
          const { events, verified } = yield* contents(back)
          expect(events).toEqual((yield* contents(to)).events)
          expect(verified.differences).toEqual([])
          const restored = yield* raw(back)
          expect(restored.pragma("integrity_check", { simple: true })).toBe("ok")
          // A table without a primary key keeps its row ids.
          expect(restored.prepare("SELECT rowid, text FROM note").raw().all()).toEqual([[1, "one"], [3, "three"]])
          expect(readdirSync(directory).filter((name) => name.includes(".restore-"))).toEqual([])
          expect(readFileSync(to).readUInt16BE(16) % 65535).toBe(ofBackup % 65535)
        }),
      60_000
    )
  }

  it.scopedLive("replaces the target of a symbolic link", () =>
    Effect.gen(function*() {
      const { directory, from, to } = yield* world
      yield* Backup.backup({ from, to })
      const link = join(directory, "link.db")
      for (const content of [readFileSync(from), "damaged"]) {
        writeFileSync(from, content)
        if (!existsSync(link)) symlinkSync(from, link)
        const { epoch } = yield* Backup.restore({ from: to, to: link, overwrite: true })
        const journal = Effect.flatMap(Journal, (journal) => journal.epoch)
        expect(yield* Effect.provide(journal, Sqlite.layer({ filename: from }))).toBe(epoch)
      }
    }))

  it.scopedLive("keeps a file that another program has made meanwhile, unless it may be overwritten", () =>
    Effect.gen(function*() {
      const { directory, from, to } = yield* world
      yield* Backup.backup({ from, to })
      const back = join(directory, "restored.db")
      const onStep = (step: string) => step === "verifying" && writeFileSync(back, "mine")
      const refused = yield* Effect.flip(Backup.restore({ from: to, to: back, onStep }))
      expect(refused).toMatchObject({ _tag: "FileExists", filename: back })
      expect(readFileSync(back, "utf8")).toBe("mine")
    }))

  it.scopedLive("leaves no new file if it is interrupted", () =>
    Effect.gen(function*() {
      const { directory, from, to } = yield* world
      yield* Backup.backup({ from, to })
      const begun = yield* Deferred.make<void>()
      const onStep = (step: string) => step === "restoring" && Deferred.unsafeDone(begun, Effect.void)
      const restoring = yield* Effect.fork(Backup.restore({ from: to, to: join(directory, "restored.db"), onStep }))
      yield* Deferred.await(begun)
      yield* Fiber.interrupt(restoring)
      expect(readdirSync(directory).filter((file) => file.startsWith("restored"))).toEqual([])
    }))

  it.scopedLive("replaces an existing database only on request, and only if the backup is sound", () =>
    Effect.gen(function*() {
      const { from, to } = yield* world
      yield* Backup.backup({ from, to })
      const before = yield* contents(from)
      expect(yield* Effect.flip(Backup.restore({ from: to, to: from }))).toMatchObject({ _tag: "FileExists" })
      const bytes = readFileSync(to)
      writeFileSync(to, bytes.fill(0xab, bytes.length / 2, bytes.length / 2 + 100))
      expect(yield* Effect.flip(Backup.restore({ from: to, to: from, overwrite: true }))).toMatchObject({
        _tag: "StorageError",
        reason: "corrupt"
      })
      expect(yield* contents(from)).toEqual(before)
    }))
})

describe("an SQLite database that is restored while it is open", () => suite(file))
