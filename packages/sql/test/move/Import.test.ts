/** Imports of another program's database, row by row and activity by activity. */
import { ActivityFeed, Command, History, Journal, Query } from "@caravel/domain"
import { Import, Sqlite } from "@caravel/sql"
import { SqlClient } from "@effect/sql/SqlClient"
import { describe, expect, it } from "@effect/vitest"
import { Chunk, Clock, DateTime, Effect, Either, FastCheck as fc, Redacted, Stream } from "effect"
import { readFileSync } from "node:fs"
import { backdoor } from "../fixtures/backdoor.js"
import { test } from "../fixtures/filled.js"
import { activity, alice, bob, drifts, imported, relay, sourceOf, tenant, wallet } from "../fixtures/importing.js"
import { expectedOf, lively, observed, schema, sources } from "../fixtures/source.js"
import { raw } from "../fixtures/sqlite.js"

describe("an import", () => {
  it("reproduces the rows and the log of any source, and the journal agrees with the rows", () =>
    fc.assert(
      fc.asyncProperty(sources, (rows) =>
        Effect.gen(function*() {
          const filename = yield* sourceOf(rows)
          const bytes = readFileSync(filename)
          const { refused, report } = yield* imported(filename)
          expect(refused).toEqual([])
          expect(report).toMatchObject({ tenants: 3, relays: 4, activities: rows.activity.length, refused: 0 })
          expect(report.ignored).toEqual(["tenant.colour"])
          expect(yield* observed(yield* Query)).toEqual(expectedOf(rows))
          expect(yield* drifts).toEqual([])
          expect(readFileSync(filename).equals(bytes)).toBe(true)
        }).pipe(Effect.scoped, Effect.provide(Sqlite.layerTemporary), Effect.runPromise)),
      { numRuns: 40 }
    ), 120_000)

  test(
    "stores wallet URLs only in their own table",
    Effect.gen(function*() {
      const filename = yield* sourceOf({
        tenant: [tenant({ nwc_url: wallet }), { pubkey: bob, created_at: 1, nwc_url: "" }],
        relay: [],
        activity: [activity(1, "create_tenant", { resource_type: "tenant", resource_id: alice })]
      })
      yield* imported(filename)
      const tenants = yield* Effect.flatMap(Query, (query) => query.tenants)
      expect(tenants.map(({ nwcUrl }) => nwcUrl && Redacted.value(nwcUrl))).toEqual([wallet, null])
      const sql = yield* SqlClient
      for (const table of ["event", "tenant", "import", "import_refusal"].map((name) => `caravel_${name}`)) {
        expect(JSON.stringify(yield* sql`SELECT * FROM ${sql(table)}`)).not.toContain("b0b5ecre7")
      }
    })
  )

  test(
    "uses the model's defaults for missing columns, and new ids in place of those that are not UUIDs",
    Effect.gen(function*() {
      const filename = yield* sourceOf(
        {
          tenant: [tenant()],
          relay: [relay()],
          activity: [1, 2].map((id) => activity(id, "update_relay", { id, position: -id }))
        },
        `CREATE TABLE tenant (pubkey, created_at);
         CREATE TABLE relay (id, tenant, subdomain, status, created_at);
         CREATE TABLE activity (id, tenant, created_at, activity_type, resource_type, resource_id, position, PRIMARY KEY (id)) WITHOUT ROWID;`
      )
      const { report } = yield* imported(filename)
      expect(report).toMatchObject({ refused: 0, renamed: 2, ignored: [] })
      const query = yield* Query
      const [row] = yield* query.relays
      expect(row).toMatchObject({ plan: "free", infoName: "", synced: false, stripeSubscriptionItemId: null })
      const events = yield* (yield* Journal).at((yield* query.activity()).map(({ position }) => position))
      // Ordered by the source's positions, not by its times.
      expect(events.map(({ metadata }) => metadata.causationId)).toEqual(["2", "1"])
    })
  )

  test(
    "imports activities with integer ids of any size exactly, and recognizes their source",
    Effect.gen(function*() {
      const create = schema.replace("CREATE TABLE activity (\n    id TEXT", "CREATE TABLE activity (\n    id INTEGER")
      const of = (...ids: ReadonlyArray<bigint>) =>
        sourceOf({
          tenant: [tenant()],
          relay: [relay()],
          activity: ids.map((id, n) => activity(n, "update_relay", { id }))
        }, create)
      const ids = [
        7n,
        2n ** 53n - 1n,
        2n ** 53n,
        2n ** 53n + 1n,
        1541815603606036480n,
        1541815603606036481n,
        -(2n ** 63n)
      ]
      const filename = yield* of(...ids)
      const first = yield* imported(filename)
      expect(first).toMatchObject({ refused: [], report: { activities: ids.length, renamed: ids.length } })
      const query = yield* Query
      const positions = (yield* query.activity()).map(({ position }) => position)
      const events = yield* (yield* Journal).at(positions)
      expect(events.map(({ metadata }) => metadata.causationId)).toEqual(ids.map(String))
      // A repeated import is recognized, also from a copy of the file.
      expect(yield* imported(filename)).toEqual(first)
      expect(yield* imported(yield* of(...ids))).toEqual(first)
      expect((yield* query.activity()).length).toBe(ids.length)

      // Another source has a neighbouring id, and the report names it.
      const other = yield* of(...ids.slice(0, -1), 1541815603606036482n)
      expect((yield* imported(other)).refused.map(({ key }) => key)).toContain("1541815603606036482")
    })
  )

  test(
    "still recognizes sources by the hash of their rows",
    Effect.gen(function*() {
      const create = schema.replace("CREATE TABLE activity (\n    id TEXT", "CREATE TABLE activity (\n    id")
      yield* imported(
        yield* sourceOf({
          tenant: [tenant()],
          relay: [relay()],
          activity: [7n, -(2n ** 53n) + 1n, 2n ** 53n - 1n, "12345678901234567890", 1.5].map((id, n) =>
            activity(n, "update_relay", { id })
          )
        }, create)
      )
      const sql = yield* SqlClient
      expect(yield* sql`SELECT id, refused FROM caravel_import`).toEqual([{
        id: "86a5832260729e4d04129f89ed85a532cc343bd9d4aaf2e2585c025190bf7a04",
        refused: 1
      }])
      expect((yield* (yield* Query).activity()).map(({ id }) => id)).toEqual([
        "49809318-9bb8-82d0-865a-f8810559f3a0",
        "5147e1de-2140-8c11-8b72-f0791d15e4de",
        "9d72b0b9-35b7-8dbe-87a2-d7b7e8cc7fae",
        "d3a98a69-dbcd-822e-852d-681990feb8b4"
      ])
    })
  )

  test(
    "broadcasts its activities, and adds events for changes that the log lacks, so that usage is right",
    Effect.gen(function*() {
      const queue = yield* (yield* Command).notify.subscribe
      const filename = yield* sourceOf({
        tenant: [tenant()],
        relay: [
          relay({ plan: "basic", status: "inactive" }),
          relay({ id: "s", subdomain: "s", plan: "growth" }),
          relay({ id: "t", subdomain: "t", status: "delinquent" })
        ],
        activity: [activity(3600, "create_relay"), activity(7200, "deactivate_relay", { resource_id: "t" })]
      })
      yield* imported(filename).pipe(Effect.withClock(clockAt("2020-09-14T00:00:00.000Z")))
      const received = Chunk.toReadonlyArray(yield* queue.takeAll)
      expect(received.map(({ activityType, resourceId }) => [activityType, resourceId])).toEqual([
        ["create_relay", "r"],
        ["deactivate_relay", "t"]
      ])
      const feed = yield* ActivityFeed
      expect(Chunk.toReadonlyArray(yield* Stream.runCollect(Stream.take(feed.since(0), 2)))).toEqual(received)
      const usage = yield* (yield* History).usage(alice, "2020-09-13", "2020-09-15")
      expect(
        usage.map(({ from, plan, relay, to }) =>
          [relay, plan, DateTime.formatIso(from), DateTime.formatIso(to)].join(" ")
        )
      ).toEqual([
        // The row is inactive, but the log does not say since when.
        "r basic 2020-09-13T13:26:40.000Z 2020-09-14T00:00:00.000Z",
        "s growth 2020-09-13T12:26:40.000Z 2020-09-15T00:00:00.000Z"
      ])
    })
  )

  test(
    "that is a dry run, or is rolled back with its caller's transaction, returns the same report and writes nothing",
    Effect.gen(function*() {
      const rows = lively(2500)
      const filename = yield* sourceOf({ ...rows, relay: rows.relay.slice(1) })
      const before = yield* backdoor.dump
      const tried = yield* imported(filename, { dryRun: true })
      expect(yield* backdoor.dump).toEqual(before)
      const sql = yield* SqlClient
      yield* Effect.flip(sql.withTransaction(Effect.zipRight(imported(filename), Effect.fail("no"))))
      expect(yield* backdoor.dump).toEqual(before)
      expect(yield* imported(filename)).toEqual(tried)
      expect(tried.report.refused).toBeGreaterThan(1)
      expect(yield* imported(filename, { dryRun: true })).toEqual(tried)
    })
  )

  test(
    "that is overtaken by another import of the same source fails as busy",
    Effect.gen(function*() {
      const rows = lively(5000)
      const filename = yield* sourceOf(rows)
      const exits = yield* Effect.all([Effect.either(imported(filename)), Effect.either(imported(filename))], {
        concurrency: "unbounded"
      })
      const failures = exits.flatMap((exit) => Either.isLeft(exit) ? [exit.left] : [])
      expect(failures).toMatchObject([{ _tag: "StorageError", reason: "busy" }])
      expect(failures[0]!.message).toContain("another process is importing the same source")
      expect(yield* observed(yield* Query)).toEqual(expectedOf(rows))
    })
  )

  test(
    "sees one state of a source that others write, and refuses to continue after a change",
    Effect.gen(function*() {
      const rows = lively(2500)
      const filename = yield* sourceOf(rows)
      const other = yield* raw(filename)
      other.pragma("journal_mode = WAL")
      const stop = (progress: Import.Progress) => progress.items > 0 ? Effect.fail("stop" as const) : Effect.void
      expect(yield* Effect.flip(Import.run({ source: filename, onStep: stop }))).toBe("stop")
      const change = "UPDATE relay SET info_name = 'changed'"
      let written = false
      yield* Import.run({
        source: filename,
        onStep: () =>
          Effect.sync(() => {
            if (!written) other.exec(change)
            written = true
          })
      })
      expect(yield* observed(yield* Query)).toEqual(expectedOf(rows))
      // The import is complete, so the changed source counts as another one, of which everything exists already.
      expect((yield* Import.run({ source: filename })).refused).toBe(
        rows.activity.length + rows.tenant.length + rows.relay.length
      )

      const another = yield* sourceOf(rows)
      yield* Effect.gen(function*() {
        expect(yield* Effect.flip(Import.run({ source: another, onStep: stop }))).toBe("stop")
        const database = yield* raw(another)
        database.exec(change)
        const error = yield* Effect.flip(Import.run({ source: another }))
        expect(error).toMatchObject({ _tag: "UnusableSource", reason: "changed" })
      }).pipe(Effect.provide(Sqlite.layerTemporary))
    })
  )
})

const clockAt = (instant: string): Clock.Clock =>
  Object.assign(Clock.make(), { currentTimeMillis: Effect.succeed(Date.parse(instant)) })
