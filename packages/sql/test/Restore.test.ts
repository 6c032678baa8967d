import { ActivityFeed, Command, Journal, Query } from "@caravel/domain"
import { Consumer } from "@caravel/pubsub"
import { Backup, Sqlite } from "@caravel/sql"
import { describe, expect, it } from "@effect/vitest"
import { Context, Effect, Fiber, Layer, Random, Stream } from "effect"
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
import { contents, world } from "./fixtures/backup.js"
import { bundled, spawned } from "./fixtures/child.js"
import { raw } from "./fixtures/sqlite.js"

const rounds = Math.ceil(Number(process.env["CARAVEL_KILLS"] ?? 48) / 4)

/** What may be where a backup is restored to. */
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
  it.scopedLive("is what the backup was, in an epoch that begins where that ended", () =>
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
    it.scopedLive(`takes the place of ${name}`, () =>
      Effect.gen(function*() {
        const { directory, from, to } = yield* world
        yield* Backup.backup({ from, to })
        const back = join(directory, "restored.db")
        if (name.startsWith("a database") || name.startsWith("a truncated")) writeFileSync(back, readFileSync(to))
        make(back)
        if (existsSync(back)) chmodSync(back, 0o640)
        yield* Backup.restore({ from: to, to: back, overwrite: true })
        expect(readdirSync(directory).filter((file) => file.startsWith("restored"))).toEqual(["restored.db"])
        if (!/nothing|without/.test(name)) expect(statSync(back).mode & 0o777).toBe(0o640)
        const { events, verified } = yield* contents(back)
        expect(events).toHaveLength(1201)
        expect(verified.differences).toEqual([])
      }))
  }

  it.scopedLive("is what a link leads to", () =>
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

  it.scopedLive("replaces nothing unless told to, and nothing by what is not sound", () =>
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

/** A database that this process has open, with a backup that it has gone on from, and the means to restore that. */
const open = Effect.gen(function*() {
  const { from, to } = yield* world
  const context = yield* Layer.build(Sqlite.layer({ filename: from }))
  const seen: Array<string> = []
  const consumer = Consumer.run({
    name: "c",
    from: "beginning",
    handle: ({ id }) => Effect.sync(() => void seen.push(id))
  })
  const script = yield* bundled("./restore.ts")
  return {
    filename: from,
    backup: to,
    context,
    consumer,
    seen,
    restore: Effect.flatMap(
      spawned(script, [to, from]),
      (child) => Effect.map(child.ended, () => expect(child.errors).toBe(""))
    )
  }
})

const activate = Effect.flatMap(Command, (command) => command.activateRelay({ id: "r0" }))

describe("a database restored while it is open", () => {
  it.scopedLive(
    "fails who follows, consumes and writes it, and gives them nothing of the other timeline",
    () =>
      Effect.gen(function*() {
        const { backup, consumer, context, filename, restore, seen } = yield* open
        const running = yield* Effect.forkScoped(Effect.provide(Effect.flip(consumer), context))
        const { epoch, events, old } = yield* Effect.gen(function*() {
          yield* Consumer.awaitPosition("c", 1201)
          yield* Backup.backup({ from: filename, to: backup })
          yield* activate
          yield* activate
          yield* Consumer.awaitPosition("c", 1203)
          const { epoch } = yield* Journal
          return {
            epoch: yield* epoch,
            events: seen.length,
            old: yield* Effect.flatMap(Query, ({ activity }) => activity())
          }
        }).pipe(Effect.provide(context))
        expect(events).toBe(1203)
        const received: Array<string> = []
        const feed = Context.get(context, ActivityFeed)
        const followers = yield* Effect.forEach([feed.live, feed.since(0), feed.since(1203, { epoch })], (stream) =>
          stream.pipe(
            Stream.runForEach(({ id }) =>
              Effect.sync(() => void received.push(id))
            ),
            Effect.flip,
            Effect.forkScoped
          ))
        yield* restore

        // Another process goes on in the restored database, with positions that there were before.
        const other = yield* Layer.build(Sqlite.layer({ filename }))
        expect((yield* Effect.provide(activate, other)).position).toBe(1202)
        const restored = { _tag: "PositionFromOtherEpoch", epoch, common: 1201 }
        for (const follower of followers) {
          expect(yield* Fiber.join(follower)).toMatchObject(restored)
        }
        expect(yield* Fiber.join(running)).toMatchObject(restored)
        expect(yield* Effect.flip(Effect.provide(activate, context))).toMatchObject({
          _tag: "StorageError",
          reason: "replaced"
        })
        const known = old.map(({ id }) => id as string)
        expect(seen).toEqual(known)
        expect(received.filter((id) => !known.includes(id))).toEqual([])

        // Where the backup left the consumer is not where it was.
        yield* Effect.gen(function*() {
          expect((yield* Consumer.lag("c")).owner).toBe(null)
          expect(yield* Effect.flip(consumer)).toMatchObject({ ...restored, position: 1201 })
          const since = (position: number) =>
            Effect.flip(Stream.runDrain(Context.get(other, ActivityFeed).since(position, { epoch })))
          expect(yield* since(1202)).toMatchObject({ ...restored, position: 1202 })
          yield* Effect.forkScoped(Consumer.run({ name: "new", from: "now", handle: () => Effect.void }))
          yield* Consumer.awaitPosition("new", 1202)
          expect((yield* Consumer.lag("new")).epoch).toBe(yield* Context.get(other, Journal).epoch)
          yield* Consumer.reset("c", 1201)
          yield* Effect.forkScoped(consumer)
          yield* Consumer.awaitPosition("c", 1202)
          expect(seen.slice(1203)).toHaveLength(1)
          const after = yield* Stream.runHead(Context.get(other, ActivityFeed).since(1201, { epoch }))
          expect(after).toMatchObject({ value: { id: seen[1203] } })
        }).pipe(Effect.provide(other))
      }),
    60_000
  )

  it.scopedLive(
    "takes nothing of 64 callers who write it, and acknowledges nothing to them from then on",
    () =>
      Effect.gen(function*() {
        const { backup, context, filename, restore } = yield* open
        yield* Backup.backup({ from: filename, to: backup })
        const command = Context.get(context, Command)
        const writing = yield* Effect.forEach(
          Array.from({ length: 64 }),
          (_, n) => Effect.forkScoped(Effect.flip(Effect.forever(command.activateRelay({ id: `r${n}` }))))
        )
        yield* restore
        for (const writer of writing) {
          expect(yield* Fiber.join(writer)).toMatchObject({ _tag: "StorageError", reason: "replaced" })
        }
        expect(yield* contents(filename)).toMatchObject({
          events: { length: 1201 },
          verified: { differences: [], last: { head: 1201 } }
        })
      }),
    60_000
  )

  it.scopedLive(
    `is what it was or what the backup was, whenever the process is killed: ${rounds} times`,
    () =>
      Effect.gen(function*() {
        const { directory, from, to } = yield* world
        // As much as takes several turns to copy.
        yield* Effect.flatMap(Command, (command) =>
          Effect.forEach(Array.from({ length: 200 }), (_, n) =>
            command.failRelaySync({ id: `r${n}` }, "x".repeat(30_000)))).pipe(
            Effect.provide(Sqlite.layer({ filename: from }))
          )
        yield* Backup.backup({ from, to })
        yield* Effect.provide(activate, Sqlite.layer({ filename: from }))
        const script = yield* bundled("./restore.ts")
        const start = readFileSync(from)
        let steps = 0
        let restored = 0
        for (let round = 0; round < rounds; round++) {
          writeFileSync(from, start)
          const child = yield* spawned(script, [to, from])
          // The first goes on to its end, and tells how many steps there are.
          yield* round === 0 ? child.ended : child.writes(yield* Random.nextIntBetween(steps >> 1, steps + 1))
          yield* child.kill("SIGKILL")
          yield* child.ended
          if (round === 0) {
            steps = child.written
          }
          const { events, verified } = yield* contents(from)
          const database = yield* raw(from)
          const epochs = database.prepare("SELECT position FROM epoch ORDER BY number").pluck().all()
          database.close()
          expect([{ events: 1402, epochs: [0] }, { events: 1401, epochs: [0, 1401] }]).toContainEqual({
            events: (events as ReadonlyArray<unknown>).length,
            epochs
          })
          expect(verified.differences).toEqual([])
          if (epochs.length > 1) {
            restored++
          }
        }
        expect(restored).toBeGreaterThan(0)
        expect(restored).toBeLessThan(rounds)
        expect(readdirSync(directory)).toContain("caravel.db")
      }),
    600_000
  )
})
