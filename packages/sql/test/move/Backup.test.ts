import { Command, Journal } from "@caravel/domain"
import { Backup, Sqlite } from "@caravel/sql"
import { describe, expect, it } from "@effect/vitest"
import { Context, Deferred, Effect, Fiber, Layer, Logger } from "effect"
import { execFileSync } from "node:child_process"
import {
  copyFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync
} from "node:fs"
import promises from "node:fs/promises"
import { syncBuiltinESMExports } from "node:module"
import { basename, dirname, join } from "node:path"
import { inspect } from "node:util"
import { contents, eventsOf, plain, world } from "../fixtures/backup.js"
import { tenant } from "../fixtures/filled.js"
import { raw, refusal } from "../fixtures/sqlite.js"
import { syncedWith } from "../fixtures/synced.js"

describe("a backup", () => {
  it.scopedLive(
    "that is taken while 64 callers write is sound and contains a prefix of the journal",
    () =>
      Effect.gen(function*() {
        const { from, to } = yield* world
        const context = yield* Layer.build(Sqlite.layer({ filename: from }))
        const command = Context.get(context, Command)
        const writing = yield* Effect.forkScoped(Effect.all(
          Array.from(
            { length: 64 },
            (_, n) => Effect.forever(command.failRelaySync({ id: `r${n}` }, "x".repeat(2000)))
          ),
          { concurrency: "unbounded" }
        ))
        const { head } = Context.get(context, Journal)
        const before = yield* head
        const pages: Array<readonly [number, number]> = []
        const copied = yield* Backup.backup({
          from,
          to,
          onStep: (step, done, total) => step === "copying" && pages.push([done, total])
        })
        const after = yield* head
        yield* Fiber.interrupt(writing)
        expect(copied.position).toBeGreaterThanOrEqual(before)
        expect(after).toBeGreaterThan(copied.position)
        // Commits do not make the backup start again.
        expect(pages.every(([done, total], n) => n === 0 || done > pages[n - 1]![0] && total === pages[0]![1])).toBe(
          true
        )

        const { events, verified } = yield* contents(to)
        const all = yield* Effect.provide(eventsOf, context)
        expect(events).toEqual(plain(all.slice(0, copied.position)))
        expect(verified).toMatchObject({ differences: [], last: { head: copied.position, tenants: 1, relays: 1200 } })
      }),
    60_000
  )

  it.scopedLive("is one file that only its owner can read, and returns what it contains", () =>
    Effect.gen(function*() {
      const { files, from, to } = yield* world
      const steps = new Set<string>()
      const copied = yield* Backup.backup({ from, to, onStep: (step) => steps.add(step) })
      expect(copied).toMatchObject({ position: 1201, tenants: 1, relays: 1200 })
      expect([...steps]).toEqual(["copying", "checking", "verifying"])
      expect(files()).toEqual(expect.arrayContaining(["backup.db", "caravel.db"]))
      expect(files().filter((name) => name.startsWith("backup"))).toEqual(["backup.db"])
      expect(statSync(to).mode & 0o777).toBe(0o600)
      expect((yield* raw(to)).pragma("journal_mode", { simple: true })).toBe("delete")
    }))

  it.scopedLive("leaves the earlier file with all its commits, should it be interrupted right before the renaming", () =>
    Effect.gen(function*() {
      const { from, to } = yield* world
      const open = yield* Layer.build(Sqlite.layer({ filename: from }))
      yield* Context.get(open, Command).activateRelay({ id: "r0" })
      // A process that was killed has left its last commit in the log.
      execFileSync("cp", [from, to])
      execFileSync("cp", [`${from}-wal`, `${to}-wal`])
      const interrupted = `${to}.interrupted`
      yield* syncedWith((path) => {
        if (path === dirname(to) && !existsSync(interrupted)) copyFileSync(to, interrupted)
      })
      yield* Backup.backup({ from, to, overwrite: true })
      expect((yield* contents(interrupted)).verified.last.head).toBe(1202)
      expect((yield* contents(to)).verified.last.head).toBe(1202)
    }))

  it.scopedLive("overwrites a file only on request, and never its own source", () =>
    Effect.gen(function*() {
      const { files, from, to } = yield* world
      writeFileSync(to, "mine")
      writeFileSync(`${to}-wal`, "and its log")
      const refused = yield* Effect.flip(Backup.backup({ from, to }))
      expect(refused).toMatchObject({ _tag: "FileExists", filename: to })
      expect(readFileSync(to, "utf8")).toBe("mine")
      const same = yield* Effect.flip(Backup.backup({ from, to: from, overwrite: true }))
      expect(same.message).toContain("are the same file")
      const directory = yield* Effect.flip(Backup.backup({ from, to: join(to, ".."), overwrite: true }))
      expect(directory.message).toContain("is a directory")
      yield* Backup.backup({ from, to, overwrite: true })
      expect(files().filter((name) => name.startsWith("backup"))).toEqual(["backup.db"])
      expect((yield* contents(to)).verified.differences).toEqual([])
    }))

  it.scopedLive("succeeds although its temporary directory cannot be removed, and says so", () =>
    Effect.gen(function*() {
      const { from, to } = yield* world
      const { rm } = promises
      const failing: typeof rm = (path, options) =>
        options?.recursive === true ? Promise.reject(new Error("EIO: i/o error")) : rm(path, options)
      const using = (rm: typeof failing) =>
        Effect.sync(() => {
          Object.assign(promises, { rm })
          syncBuiltinESMExports()
        })
      yield* Effect.acquireRelease(using(failing), () => using(rm))
      const logged: Array<string> = []
      const logger = Logger.make(({ message }) => void logged.push(inspect(message)))
      const backup = Backup.backup({ from, to })
      const { position } = yield* Effect.provide(backup, Logger.replace(Logger.defaultLogger, logger))
      expect([position, (yield* contents(to)).verified.differences]).toEqual([1201, []])
      expect(logged.join()).toContain("cannot be removed; remove it")
    }))

  it.scopedLive("keeps a file that another program has made meanwhile, unless it may be overwritten", () =>
    Effect.gen(function*() {
      const { files, from, to } = yield* world
      const onStep = (step: string) => step === "verifying" && writeFileSync(to, "mine")
      expect(yield* Effect.flip(Backup.backup({ from, to, onStep }))).toMatchObject({
        _tag: "FileExists",
        filename: to
      })
      expect(readFileSync(to, "utf8")).toBe("mine")
      expect(files().filter((name) => name.startsWith("backup"))).toEqual(["backup.db"])
    }))

  for (const space of [" ", "\n", "\t\u00a0"]) {
    it.scopedLive(`refuses a name that ends in ${JSON.stringify(space)}, and changes nothing`, () =>
      Effect.gen(function*() {
        const { files, from, to } = yield* world
        writeFileSync(to, "mine")
        writeFileSync(`${to}${space}`, "mine too")
        copyFileSync(from, `${from}${space}`)
        const before = files()
        for (
          const places of [
            { from, to: `${to}${space}` },
            { from: `${from}${space}`, to },
            { from, to: join(dirname(to), `new.db${space}`) }
          ]
        ) {
          for (const copy of [Backup.backup, Backup.restore]) {
            const refused = yield* Effect.flip(copy({ ...places, overwrite: true }))
            expect(refused).toMatchObject({ _tag: "StorageError", reason: "other" })
            expect(refused.message).toContain("begins or ends with white space")
          }
        }
        expect((yield* refusal(`${to}${space}`)).message).toContain("begins or ends with white space")
        expect((yield* refusal(`${space}${basename(to)}`)).message).toContain("begins or ends with white space")
        expect([readFileSync(to, "utf8"), readFileSync(`${to}${space}`, "utf8")]).toEqual(["mine", "mine too"])
        expect(files()).toEqual(before)
      }))
  }

  for (const bytes of [0, 4096]) {
    it.scopedLive(`keeps the earlier file if the copy has only ${bytes} bytes in the end`, () =>
      Effect.gen(function*() {
        const { files, from, to } = yield* world
        writeFileSync(to, "mine")
        yield* syncedWith((path) => {
          if (path.includes(".backup-") && basename(path) === "backup.db") truncateSync(path, bytes)
        })
        const refused = yield* Effect.flip(Backup.backup({ from, to, overwrite: true }))
        expect(refused).toMatchObject({ _tag: "StorageError", reason: "corrupt" })
        expect(readFileSync(to, "utf8")).toBe("mine")
        expect(files().filter((name) => name.startsWith("backup"))).toEqual(["backup.db"])
      }))
  }

  it.scopedLive("to a symbolic link replaces the linked file, and makes its copy beside that", () =>
    Effect.gen(function*() {
      const { directory, files, from } = yield* world
      const safe = join(directory, "safe")
      mkdirSync(safe)
      const [linked, link] = [join(safe, "tuesday.db"), join(directory, "latest.db")]
      symlinkSync(linked, link)
      // A process that was killed has left a log beside the linked file.
      yield* Backup.backup({ from, to: linked })
      writeFileSync(`${linked}-wal`, "its log")
      expect(yield* Effect.flip(Backup.backup({ from, to: link }))).toMatchObject({
        _tag: "FileExists",
        filename: link
      })
      const open = yield* Layer.build(Sqlite.layer({ filename: from }))
      yield* Context.get(open, Command).activateRelay({ id: "r0" })
      let beside: ReadonlyArray<string> = []
      const onStep = () => beside = [...beside, ...files(), ...readdirSync(safe).map((name) => `safe/${name}`)]
      yield* Backup.backup({ from, to: link, overwrite: true, onStep })
      const temporary = beside.filter((name) => name.includes(".backup-"))
      expect(temporary.length).toBeGreaterThan(0)
      expect(temporary.filter((name) => !name.startsWith("safe/tuesday.db."))).toEqual([])
      expect([lstatSync(link).isSymbolicLink(), readlinkSync(link)]).toEqual([true, linked])
      expect(readdirSync(safe)).toEqual(["tuesday.db"])
      expect((yield* contents(linked)).verified.last.head).toBe(1202)
    }))

  it.scopedLive("refuses a symbolic link to a missing file, as a restore does", () =>
    Effect.gen(function*() {
      const { directory, files, from } = yield* world
      const link = join(directory, "link.db")
      symlinkSync(join(directory, "none.db"), link)
      const before = files()
      for (const copy of [Backup.backup, Backup.restore]) {
        for (const overwrite of [false, true]) {
          const refused = yield* Effect.flip(copy({ from, to: link, overwrite }))
          expect(refused).toMatchObject({ _tag: "StorageError", reason: "other" })
          expect(refused.message).toContain(`${link} is a symbolic link to a missing file`)
        }
      }
      expect(files()).toEqual(before)
      expect(readlinkSync(link)).toBe(join(directory, "none.db"))
    }))

  it.scopedLive("shows no URL that is given in place of a file", () =>
    Effect.gen(function*() {
      const { from, to } = yield* world
      const url = "postgres://u:pa55word@h/db"
      for (const places of [{ from: url, to }, { from, to: url }]) {
        const refused = yield* Effect.flip(Backup.backup(places))
        expect(refused.message).toContain("its filename is a URL")
        expect(inspect(refused)).not.toContain("pa55word")
      }
    }))

  it.scopedLive("of a missing, foreign, damaged or drifted database leaves nothing behind", () =>
    Effect.gen(function*() {
      const { directory, files, from, to } = yield* world
      const refused = (from: string) => Effect.flip(Backup.backup({ from, to }))
      expect((yield* refused(join(directory, "none.db"))).message).toContain("there is no file")
      expect((yield* refused(directory)).message).toContain(`${directory} is a directory`)

      const theirs = join(directory, "theirs.db")
      ;(yield* raw(theirs)).exec("CREATE TABLE event (id INTEGER)")
      expect(yield* refused(theirs)).toMatchObject({ _tag: "StorageError", reason: "corrupt" })

      const database = yield* raw(from)
      database.exec("UPDATE caravel_tenant SET stripe_customer_id = 'another'")
      const drifted = yield* refused(from)
      expect(drifted).toMatchObject({ _tag: "StorageError", reason: "corrupt" })
      expect(drifted.message).toContain(`rows differ from the journal, first at tenant ${tenant} (caravel verify says`)
      database.exec("UPDATE caravel_tenant SET stripe_customer_id = NULL")

      // The index differs from its table.
      database.unsafeMode(true)
      database.pragma("writable_schema = ON")
      database.exec(
        "UPDATE sqlite_schema SET sql = replace(sql, '(tenant)', '(subdomain)') WHERE name = 'caravel_relay_tenant'"
      )
      database.close()
      const damaged = yield* refused(from)
      expect(damaged).toMatchObject({ _tag: "StorageError", reason: "corrupt" })
      expect(damaged.message).toContain("is damaged: ")

      expect(files().filter((name) => name.startsWith("backup"))).toEqual([])
    }))

  for (const step of ["copying", "checking", "verifying"] as const) {
    it.scopedLive(`that is interrupted while ${step} leaves nothing behind`, () =>
      Effect.gen(function*() {
        const { files, from, to } = yield* world
        const begun = yield* Deferred.make<void>()
        const fiber = yield* Effect.fork(
          Backup.backup({ from, to, onStep: (now) => now === step && Deferred.unsafeDone(begun, Effect.void) })
        )
        yield* Deferred.await(begun)
        yield* Fiber.interrupt(fiber)
        expect(files().filter((name) => name.startsWith("backup"))).toEqual([])
        yield* Backup.backup({ from, to })
      }))
  }
})
