import { LongRun } from "@caravel/conformance"
import { Command, Query, Secrets } from "@caravel/domain"
import { nextTurn } from "@caravel/domain/adapter"
import { Sqlite } from "@caravel/sql"
import { SqlClient } from "@effect/sql/SqlClient"
import { describe, expect, it } from "@effect/vitest"
import type { Database } from "better-sqlite3"
import { Clock, Context, Deferred, Effect, Exit, Fiber, Layer, Option, Redacted, TestClock } from "effect"
import { found } from "../fixtures/bytes.js"
import { bundled, spawned } from "../fixtures/child.js"
import { frozenSqlite } from "../fixtures/frozen.js"
import { marksOf, pubkeyOf, urlOf } from "../fixtures/marked.js"
import { raw, temporaryFile } from "../fixtures/sqlite.js"
import { synced } from "../fixtures/synced.js"

const rounds = Math.ceil(LongRun.count("CARAVEL_KILLS", { usual: 8, long: 1000 }) / 8)

const open = (filename: string, options: Omit<Sqlite.Options, "filename"> = {}) =>
  Effect.map(Layer.build(Sqlite.layer({ filename, ...options })), (context) => ({
    command: Context.get(context, Command),
    query: Context.get(context, Query),
    secrets: Context.get(context, Secrets),
    sql: Context.get(context, SqlClient)
  }))

const isOverwritten = (database: Database) =>
  database.prepare("SELECT 1 FROM caravel_migrations WHERE migration_id = 0").all().length > 0

/** Random numbers that are the same in each run. */
const numbers = (seed: number) => () => (seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31) / 2 ** 31

/** Ids contain the time. One millisecond for each puts the rows into the same pages in each run. */
const ticking = () => {
  let now = 1_795_432_000_000
  return Effect.withClock(
    Object.assign(Clock.make(), { currentTimeMillis: Effect.sync(() => now++) })
  )
}

/** Moves the clock for waiting fibers until the effect has ended. */
const advancingClock = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const fiber = yield* Effect.fork(effect)
    while (Option.isNone(yield* Fiber.poll(fiber))) {
      yield* TestClock.adjust("1 second")
      yield* nextTurn
    }
    return yield* Fiber.join(fiber)
  })

describe("after an erasure", () => {
  it.scopedLive(
    "no byte is left of any secret that was replaced, cleared or erased, and others are unchanged",
    () =>
      Effect.gen(function*() {
        const filename = yield* temporaryFile
        const { command, query, secrets } = yield* open(filename, { synchronous: "normal" })
        const random = numbers(15_838)
        const marks = new Map<number, string>()
        const gone: Array<string> = []
        const set = (tenant: number, n: number) => {
          const mark = `<${String(n).padStart(5, "0")}>`
          const isNew = !marks.has(tenant)
          if (!isNew) gone.push(marks.get(tenant)!)
          marks.set(tenant, mark)
          const payload = { pubkey: pubkeyOf("a", tenant), nwcUrl: urlOf(mark, Math.ceil(random() * 1500)) }
          return isNew ? command.createTenant(payload) : command.updateTenant(payload)
        }
        yield* Effect.gen(function*() {
          for (let n = 0; n < 1500; n++) yield* set(n < 20 ? n : Math.floor(random() * 20), n)
        }).pipe(ticking())

        const database = yield* raw(filename)
        expect(isOverwritten(database)).toBe(true)
        database.pragma("wal_checkpoint(TRUNCATE)")
        // Deleting overwrites the deleted bytes, except for copies that SQLite leaves. Without such copies, this test
        // would prove little.
        expect(yield* found(filename, gone)).not.toEqual([])

        gone.push(marks.get(7)!)
        marks.delete(7)
        yield* secrets.eraseTenantSecrets({ pubkey: pubkeyOf("a", 7) })
        expect(yield* found(filename, gone)).toEqual([])
        for (const [tenant, mark] of marks) {
          const { nwcUrl } = Option.getOrThrow(yield* query.tenant(pubkeyOf("a", tenant)))
          expect(Redacted.value(nwcUrl!)).toContain(mark)
        }
        expect(database.pragma("integrity_check", { simple: true })).toBe("ok")
        expect(database.pragma("foreign_key_check")).toEqual([])
      }),
    60_000
  )

  it.scopedLive("a power loss does not bring back the log that was truncated", () =>
    Effect.gen(function*() {
      const filename = yield* temporaryFile
      const { command, secrets } = yield* open(filename)
      const pubkey = pubkeyOf("a", 0)
      yield* command.createTenant({ pubkey, nwcUrl: urlOf("<lost>") })
      const paths = yield* synced
      yield* secrets.eraseTenantSecrets({ pubkey })
      expect(paths).toEqual([`${filename}-wal`])
    }))

  it.scopedLive("no byte is left in a file that an earlier version wrote", () =>
    Effect.gen(function*() {
      const filename = yield* temporaryFile
      const gone = yield* Effect.scoped(Effect.map(raw(filename), (database) => {
        database.pragma("journal_mode = WAL")
        database.exec(frozenSqlite("0004"))
        const marks = Array.from({ length: 200 }, (_, n) => marksOf("old", n)[0])
        const insert = database.prepare("INSERT INTO secret (id, value) VALUES (?, ?)")
        marks.forEach((mark, n) =>
          insert.run(`01a20817-9f5e-75be-8c42-${String(n).padStart(12, "0")}`, urlOf(mark, 500))
        )
        database.exec("DELETE FROM secret WHERE value NOT LIKE '%frozen'")
        // The journal reuses pages that contained secrets.
        const event = database.prepare(
          `INSERT INTO event (id, type, tenant, resource_type, resource_id, resource_version, payload, metadata, created_at)
            VALUES (?, 'TenantPastDueSet', ?, 'tenant', ?, ?, '{"pastDueAt":"2026-11-23T11:08:15.599Z"}', '{}', 0)`
        )
        for (let n = 3; n < 40; n++) event.run(crypto.randomUUID(), "a".repeat(64), "a".repeat(64), n)
        database.exec("UPDATE tenant SET version = 39")
        return marks
      }))
      expect((yield* found(filename, gone)).length).toBeGreaterThan(10)
      const { query, secrets } = yield* open(filename)
      expect(isOverwritten(yield* raw(filename))).toBe(false)
      const [tenant] = yield* query.tenants
      expect(Redacted.value(tenant!.nwcUrl!)).toBe("nostr+walletconnect://frozen")
      yield* secrets.eraseTenantSecrets(tenant!)
      expect(yield* found(filename, [...gone, "walletconnect"])).toEqual([])
      const database = yield* raw(filename)
      expect(database.pragma("integrity_check", { simple: true })).toBe("ok")
      // The second time, no VACUUM is needed.
      expect(isOverwritten(database)).toBe(true)
    }))

  it.scopedLive("no byte is left in a shared file, and the application's user_version is unchanged", () =>
    Effect.gen(function*() {
      for (const version of [0, 1, 7]) {
        const filename = yield* temporaryFile
        const database = yield* raw(filename)
        database.exec(`CREATE TABLE note (text TEXT); PRAGMA user_version = ${version}`)
        const { command, secrets } = yield* open(filename)
        expect(isOverwritten(database)).toBe(true)
        yield* command.createTenant({ pubkey: pubkeyOf("a", 0), nwcUrl: urlOf("<shared>") })
        yield* secrets.eraseTenantSecrets({ pubkey: pubkeyOf("a", 0) })
        expect(yield* found(filename, ["<shared>"])).toEqual([])
        expect(database.pragma("user_version", { simple: true })).toBe(version)
      }
    }))

  it.scopedLive(
    "no secret of an acknowledged erasure is left if the process is killed, and repeating it erases the rest",
    () =>
      Effect.gen(function*() {
        const filename = yield* temporaryFile
        const script = yield* bundled("./erasing.ts")
        const kept = Array.from({ length: 50 }, (_, n) => `<kept-${n}>`)
        yield* Effect.scoped(Effect.flatMap(open(filename), ({ command }) =>
          Effect.forEach(kept, (mark, n) =>
            command.createTenant({ pubkey: pubkeyOf("c", n), nwcUrl: urlOf(mark) }))))
        for (let round = 0; round < rounds; round++) {
          const prefix = `${round}f`
          const child = yield* spawned(script, [filename, prefix])
          yield* child.writes(1 + round * 2)
          yield* child.kill("SIGKILL")
          yield* child.ended
          expect(child.errors).toBe("")
          const erased = child.output.split("\n").filter((line) =>
            line !== ""
          ).map(Number)
          const marks = erased.flatMap((n) => marksOf(prefix, n))
          expect(yield* found(filename, marks)).toEqual([])
          yield* Effect.scoped(Effect.gen(function*() {
            const { query, secrets } = yield* open(filename)
            const left = (yield* query.tenants).filter(({ pubkey }) => pubkey === pubkeyOf(prefix, erased.length))
            yield* Effect.forEach(left, secrets.eraseTenantSecrets)
            expect(yield* found(filename, [...kept, "-first>", "-second>"])).toEqual(kept)
            expect((yield* query.tenants).filter(({ nwcUrl }) => nwcUrl !== null)).toHaveLength(kept.length)
          }))
        }
      }),
    LongRun.timeout(600_000)
  )
})

describe("an erasure", () => {
  it.scoped("waits for readers of an older state, and fails with what is left if that takes too long", () =>
    Effect.gen(function*() {
      const filename = yield* temporaryFile
      const { command, query, secrets } = yield* open(filename)
      const [mark] = marksOf("a", 0)
      const pubkey = pubkeyOf("a", 0)
      yield* command.createTenant({ pubkey, nwcUrl: urlOf(mark) })
      const reader = yield* raw(filename)
      reader.exec("BEGIN; SELECT count(*) FROM caravel_secret")
      const error = yield* Effect.flip(advancingClock(secrets.eraseTenantSecrets({ pubkey })))
      expect(error).toMatchObject({ _tag: "SecretsRemain", cause: { _tag: "StorageError", reason: "busy" } })
      expect(error.message).toContain("an older state is being read")
      expect(error.message).not.toContain(mark)
      expect(Option.getOrThrow(yield* query.tenant(pubkey)).nwcUrl).toBe(null)
      expect(yield* found(filename, [mark])).toEqual([mark])

      const repeated = yield* Effect.fork(advancingClock(secrets.eraseTenantSecrets({ pubkey })))
      yield* Effect.repeat(query.activity(), { until: (activities) => activities.length === 3 })
      reader.exec("COMMIT")
      yield* Fiber.join(repeated)
      expect(yield* found(filename, [mark])).toEqual([])
    }))

  it.scoped("waits for writers", () =>
    Effect.gen(function*() {
      const filename = yield* temporaryFile
      const { command, secrets } = yield* open(filename)
      yield* command.createTenant({ pubkey: pubkeyOf("a", 0), nwcUrl: urlOf("<replaced>") })
      yield* command.updateTenant({ pubkey: pubkeyOf("a", 0), nwcUrl: null })
      const writer = yield* raw(filename)
      const begun = yield* Deferred.make<void>()
      // The last step is done, and only the remains of deleted values are to be removed.
      const begin = Effect.zipRight(
        Effect.sync(() => writer.exec("BEGIN IMMEDIATE")),
        Deferred.succeed(begun, undefined)
      )
      const rotation = yield* Effect.fork(secrets.rotate(() => Effect.asVoid(begin)))
      yield* Deferred.await(begun)
      yield* Effect.repeatN(TestClock.adjust("1 second"), 3)
      expect(Option.isNone(yield* Fiber.poll(rotation))).toBe(true)
      writer.exec("COMMIT")
      yield* advancingClock(Fiber.join(rotation))
      expect(yield* found(filename, ["<replaced>"])).toEqual([])
    }))

  it.scopedLive("works while others write, and does not disturb them", () =>
    Effect.gen(function*() {
      const filename = yield* temporaryFile
      const { command, secrets } = yield* open(filename)
      const { command: elsewhere } = yield* open(filename)
      const tenants = Array.from({ length: 20 }, (_, n) => n)
      yield* Effect.forEach(tenants, (n) =>
        command.createTenant({ pubkey: pubkeyOf("a", n), nwcUrl: urlOf(marksOf("a", n)[0]) }))
      const writing = yield* Effect.fork(Effect.forEach([command, elsewhere], (command) =>
        Effect.forever(command.setTenantPastDue(pubkeyOf("a", 0))), { concurrency: "unbounded" }))
      yield* Effect.forEach(tenants, (n) =>
        secrets.eraseTenantSecrets({ pubkey: pubkeyOf("a", n) }), { concurrency: 5 })
      const exit = yield* Fiber.interrupt(writing)
      expect(Exit.isInterrupted(exit)).toBe(true)
      expect(yield* found(filename, ["walletconnect"])).toEqual([])
    }), 60_000)

  it.scopedLive("is refused inside a caller's transaction, and does not join a transaction of another database", () =>
    Effect.gen(function*() {
      const filename = yield* temporaryFile
      const { command, query, secrets, sql } = yield* open(filename)
      const { sql: another } = yield* open(yield* temporaryFile)
      const pubkey = pubkeyOf("a", 0)
      yield* command.createTenant({ pubkey, nwcUrl: urlOf("<inside>") })
      const errors = [
        yield* Effect.flip(sql.withTransaction(secrets.eraseTenantSecrets({ pubkey }))),
        yield* Effect.flip(sql.withTransaction(secrets.rotate()))
      ]
      for (const error of errors) {
        expect(error).toMatchObject({ _tag: "StorageError", reason: "other" })
        expect(error.message).toContain("cannot be part of a transaction")
      }
      expect((yield* query.activity()).length).toBe(1)
      yield* another.withTransaction(Effect.asVoid(secrets.eraseTenantSecrets({ pubkey })))
      expect(yield* found(filename, ["<inside>"])).toEqual([])
    }))
})
