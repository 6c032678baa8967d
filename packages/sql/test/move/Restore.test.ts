import { Command, Journal, Query } from "@caravel/domain"
import { Backup, Sqlite } from "@caravel/sql"
import { describe, expect, it } from "@effect/vitest"
import { Deferred, Effect, Fiber } from "effect"
import {
  chmodSync,
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
import { file } from "../fixtures/copying.js"
import { suite } from "../fixtures/restoring.js"

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
