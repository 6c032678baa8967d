import { Command, Journal } from "@caravel/domain"
import { Backup, Copy } from "@caravel/sql"
import { SqlClient } from "@effect/sql/SqlClient"
import { describe, expect, it } from "@effect/vitest"
import { Context, Deferred, Effect, Either, Fiber, Layer } from "effect"
import { readFileSync, statSync, writeFileSync } from "node:fs"
import { eventsOf, plain } from "../fixtures/backup.js"
import { dump, type Endpoint, file, headOf, history, many, open, schemaOf, using } from "../fixtures/copying.js"
import { key } from "../fixtures/encrypted.js"
import { filled, tenant, verify } from "../fixtures/filled.js"
import { raw as connected, statements, withPostgres } from "../fixtures/postgres.js"
import { owner, referenced, references, run } from "../fixtures/references.js"
import { contentsOf, placeOf, suite } from "../fixtures/restoring.js"
import { raw } from "../fixtures/sqlite.js"

/** All rows except that of the last epoch. */
const dumpBefore = (endpoint: Endpoint) =>
  Effect.map(
    dump(endpoint),
    ({ caravel_epoch: epochs = [], ...rows }) => ({ ...rows, caravel_epoch: epochs.length - 1 })
  )

withPostgres("a backup of PostgreSQL", (url) => {
  const schema = schemaOf(url)
  const backupFile = Effect.map(file, (endpoint) => [endpoint, String(placeOf(endpoint))] as const)

  it.scopedLive(
    "is one SQLite file that only its owner can read, with the same rows in every table",
    () =>
      Effect.gen(function*() {
        const from = yield* schema
        const [backup, to] = yield* backupFile
        yield* history(from)
        const steps = new Set<string>()
        const copied = yield* Backup.backup({ from: placeOf(from), to, onStep: (step) => steps.add(step) })
        expect(copied).toMatchObject({ position: yield* headOf(from), tenants: 3, relays: 2 })
        expect([...steps]).toEqual(["copying", "projecting", "verifying", "checking"])
        expect(statSync(to).mode & 0o777).toBe(0o600)
        expect((yield* raw(to)).pragma("journal_mode", { simple: true })).toBe("delete")
        expect(yield* dump(backup)).toEqual(yield* dump(from))
        expect(yield* Effect.flip(Backup.backup({ from: placeOf(from), to }))).toMatchObject({ _tag: "FileExists" })
      }),
    60_000
  )

  it.scopedLive(
    "that is taken while 64 callers write is sound and contains a prefix of the journal",
    () =>
      Effect.gen(function*() {
        const from = yield* schema
        const [backup, to] = yield* backupFile
        const context = yield* Layer.build(open(from))
        yield* Effect.provide(filled, context)
        const command = Context.get(context, Command)
        const writing = yield* Effect.forEach(
          Array.from({ length: 64 }),
          (_, n) => Effect.forkScoped(Effect.forever(command.failRelaySync({ id: `r${n}` }, "x")))
        )
        const { position } = yield* Backup.backup({ from: placeOf(from), to })
        yield* Effect.forEach(writing, Fiber.interrupt)
        expect(yield* Context.get(context, Journal).head).toBeGreaterThan(position)
        const all = yield* Effect.provide(eventsOf, context)
        expect(yield* contentsOf(backup)).toMatchObject({
          events: plain(all.slice(0, position)),
          verified: { differences: [], last: { head: position } }
        })
      }),
    60_000
  )

  it.scopedLive(
    "restores its database in a new epoch, and any other SQLite or PostgreSQL database to the same state",
    () =>
      Effect.gen(function*() {
        const [from, other, elsewhere] = [yield* schema, yield* schema, yield* file]
        const [, backup] = yield* backupFile
        yield* history(from)
        yield* Backup.backup({ from: placeOf(from), to: backup })
        const before = yield* dump(from)
        yield* using(from, many(600, "n"), key)

        const refused = yield* Effect.flip(Backup.restore({ from: backup, to: placeOf(from) }))
        expect(refused).toMatchObject({ _tag: "NotEmpty", position: yield* headOf(from) })
        const epochs = new Set<string>()
        for (const to of [from, other, elsewhere]) {
          const steps = new Set<string>()
          const { epoch, position } = yield* Backup.restore({
            from: backup,
            to: placeOf(to),
            overwrite: to === from,
            onStep: (step) => steps.add(step)
          })
          expect([...steps]).toContain("restoring")
          epochs.add(epoch)
          expect(yield* headOf(to)).toBe(position)
          expect(yield* dumpBefore(to)).toEqual({ ...before, caravel_epoch: 1 })
          expect((yield* using(to, verify, key)).differences).toEqual([])
          expect(yield* using(to, many(1, "p"), key)).toBe(undefined)
        }
        expect(epochs.size).toBe(3)
      }),
    60_000
  )

  it.scopedLive(
    "can be restored if an application's tables refer to tenants and relays, which are updated in place",
    () =>
      Effect.gen(function*() {
        const from = yield* schema
        const [, backup] = yield* backupFile
        yield* using(from, referenced(["a", "b"]))
        const rows = yield* using(from, references)
        yield* Backup.backup({ from: placeOf(from), to: backup })
        const before = yield* dump(from)
        yield* using(
          from,
          Effect.gen(function*() {
            const command = yield* Command
            yield* command.updateRelay({ id: "a", subdomain: "c" })
            yield* command.updateRelay({ id: "b", subdomain: "a", plan: "growth" })
            yield* command.updateTenant({ pubkey: owner, nwcUrl: "nostr+walletconnect://two" })
            yield* command.createRelay({ id: "c", tenant: owner, subdomain: "b" })
            yield* run("INSERT INTO invoice VALUES ('c')")
          })
        )
        const restore = Backup.restore({ from: backup, to: placeOf(from), overwrite: true })
        const head = yield* headOf(from)
        const refused = yield* Effect.flip(restore)
        expect(refused).toMatchObject({ _tag: "StorageError", reason: "other", operation: "restore" })
        expect(refused.message).toContain("rows of another table refer to a tenant or relay")
        expect(yield* headOf(from)).toBe(head)
        yield* using(from, run("DELETE FROM invoice WHERE relay = 'c'"))
        yield* restore
        expect(yield* dumpBefore(from)).toEqual({ ...before, caravel_epoch: 1 })
        expect(yield* using(from, references)).toEqual(rows)
        expect((yield* using(from, verify)).differences).toEqual([])
      }),
    60_000
  )

  it.scopedLive("of a database that is not Caravel's is refused, creates no tables, and keeps the previous backup", () =>
    Effect.gen(function*() {
      const from = yield* schema
      const [, to] = yield* backupFile
      writeFileSync(to, "yesterday's")
      const refused = yield* Effect.flip(Backup.backup({ from: placeOf(from), to, overwrite: true }))
      expect(refused.message).toContain("the database has no Caravel tables")
      expect((yield* Effect.flip(Copy.copy({ from, to: yield* file }))).message).toBe(
        refused.message.replace("backup", "copy")
      )
      const [tables] = yield* statements(
        url,
        `SELECT 1 FROM pg_tables WHERE schemaname = '${"schema" in from ? from.schema : ""}'`
      )
      expect(tables).toEqual([])
      expect(readFileSync(to, "utf8")).toBe("yesterday's")
    }))

  it.scopedLive(
    "never makes the database look empty to a verification while it is restored",
    () =>
      Effect.gen(function*() {
        const to = yield* schema
        const [backup, filename] = yield* backupFile
        yield* using(backup, filled)
        const context = yield* Layer.build(open(to))
        yield* Effect.provide(filled, context)
        const begun = yield* Deferred.make<void>()
        const verifying = yield* Effect.fork(Effect.zipRight(Deferred.await(begun), Effect.provide(verify, context)))
        yield* Backup.restore({
          from: filename,
          to: placeOf(to),
          overwrite: true,
          onStep: (step) => step === "restoring" && Deferred.unsafeDone(begun, Effect.void)
        })
        // A program that has the database open fails once its tail has noticed the restore, which may be meanwhile.
        const verified = yield* Effect.either(Fiber.join(verifying))
        if (Either.isLeft(verified)) {
          expect(verified.left).toMatchObject({ reason: "replaced", cause: { _tag: "PositionFromOtherEpoch" } })
        } else expect(verified.right.last).toMatchObject({ head: 1201, events: 1201, relays: 1200 })
      }),
    60_000
  )

  it.scopedLive("that is missing or damaged changes nothing", () =>
    Effect.gen(function*() {
      const to = yield* schema
      yield* history(to)
      const before = yield* dump(to)
      const [backup, filename] = yield* backupFile
      const refused = Effect.flip(Backup.restore({ from: filename, to: placeOf(to), overwrite: true }))
      expect((yield* refused).message).toContain("there is no file")
      yield* using(backup, filled)
      const database = yield* raw(filename)
      database.exec("UPDATE caravel_relay SET info_name = 'another' WHERE id = 'r7'")
      expect((yield* refused).message).toContain("rows differ from the journal, first at relay r7")
      expect(yield* dump(to)).toEqual(before)
    }), 60_000)

  for (const way of ["restore", "copy"] as const) {
    it.scopedLive(
      `${way} waits for an open transaction, and does not overwrite its writes`,
      () =>
        Effect.gen(function*() {
          const [from, to] = [yield* file, yield* schemaOf(url)]
          const context = yield* Layer.build(open(from))
          yield* Effect.provide(filled, context)
          const target = yield* Layer.build(open(to))
          const client = yield* connected(url)
          const isWaitedFor = Effect.promise(async () => {
            const { rows } = await client.query(
              "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND classid = $1::regclass::oid",
              [`${"schema" in to ? to.schema : ""}.caravel_event`]
            )
            return rows.length > 0
          })
          const begun = yield* Deferred.make<void>()
          const command = Context.get(target, Command)
          const sending = yield* Effect.fork(
            Context.get(target, SqlClient).withTransaction(
              Deferred.succeed(begun, undefined).pipe(
                Effect.zipRight(Effect.repeat(isWaitedFor, { until: (isWaitedFor) => isWaitedFor })),
                Effect.zipRight(command.createTenant({ pubkey: tenant }))
              )
            )
          )
          yield* Deferred.await(begun)
          const refused = yield* way === "copy"
            ? Effect.flip(Copy.copy({ from, to }))
            : Effect.flip(Backup.restore({ from: String(placeOf(from)), to: placeOf(to) }))
          expect(refused).toMatchObject({ _tag: way === "copy" ? "NotACopy" : "NotEmpty", position: 1 })
          expect((yield* Fiber.join(sending)).position).toBe(1)
          expect((yield* contentsOf(to)).verified).toMatchObject({ differences: [], last: { head: 1 } })
        }),
      60_000
    )
  }

  describe("that is restored while the database is open", () => suite(schema))
})
