/**
 * What a verification checks besides rows and journal: outcomes of keys, consumers, and SQLite's own check of its file.
 */
import { Command, Drift, Journal } from "@caravel/domain"
import { Sqlite } from "@caravel/sql"
import { describe, expect, it } from "@effect/vitest"
import SqliteDatabase from "better-sqlite3"
import { Effect, Schema, Stream } from "effect"
import { statements, test, verify } from "../fixtures/filled.js"
import { furnish } from "../fixtures/furnished.js"
import { temporaryFile } from "../fixtures/sqlite.js"

const tenant = "a".repeat(64)

const found = Effect.map(verify, ({ differences }) => differences)

describe("bookkeeping", () => {
  test(
    "that is consistent is not reported",
    Effect.zipRight(furnish, Effect.map(found, (differences) => expect(differences).toEqual([])))
  )

  test(
    "with a key whose events are not in the journal is reported, and the key's command is refused",
    Effect.gen(function*() {
      const command = yield* Command
      yield* furnish
      yield* statements(
        "PRAGMA foreign_keys = OFF",
        "UPDATE caravel_idempotency SET position = 70 WHERE refusal IS NULL"
      )
      expect(yield* found).toMatchObject([
        { kind: "inconsistent", resourceType: "idempotency", field: "events", position: 70 }
      ])
      const again = command.createRelay({ id: "b", tenant, subdomain: "b" }).pipe(Command.withIdempotencyKey("one"))
      const error = yield* Effect.flip(again)
      expect(error).toMatchObject({ _tag: "StorageError", reason: "corrupt" })
      expect(error.message).toContain("1 events from position 70")
      yield* statements("UPDATE caravel_idempotency SET position = 1, events = 9e14 WHERE refusal IS NULL")
      expect(yield* Effect.flip(again)).toMatchObject({ _tag: "StorageError", reason: "corrupt" })
    })
  )

  test(
    "of consumers that is impossible is reported with the consumer's name",
    Effect.gen(function*() {
      yield* furnish
      yield* statements(
        "PRAGMA foreign_keys = OFF",
        "UPDATE caravel_consumer SET replays_done = 3",
        "UPDATE caravel_parked SET resource_id = 'zz'",
        "DELETE FROM caravel_lease WHERE task = 'replay'"
      )
      expect(yield* found).toMatchObject([
        { kind: "inconsistent", resourceType: "consumer", resourceId: "worker", field: "replaysDone", found: 3 },
        { kind: "inconsistent", resourceType: "consumer", resourceId: "worker", field: "position" },
        { kind: "inconsistent", resourceType: "consumer", resourceId: "worker", field: "position" }
      ])
      yield* statements("UPDATE caravel_consumer SET replays_done = 0, filter = '{\"tenant\":1}'")
      expect((yield* found)[0]).toMatchObject({ kind: "unreadable", resourceType: "consumer", field: "filter.tenant" })
    })
  )

  test(
    "of leases that no consumer can hold is reported",
    Effect.gen(function*() {
      yield* furnish
      yield* statements(
        "UPDATE caravel_lease SET fence = -1 WHERE task = 'run'",
        "UPDATE caravel_lease SET heartbeat = -1 WHERE task = 'replay'"
      )
      expect(yield* found).toMatchObject([
        { kind: "unreadable", resourceType: "consumer", resourceId: "worker", field: "heartbeat" },
        { kind: "unreadable", resourceType: "consumer", resourceId: "worker", field: "fence" }
      ])
    })
  )

  test(
    "of epochs that is impossible is reported",
    Effect.gen(function*() {
      yield* furnish
      const { head } = yield* Journal
      const last = yield* head
      yield* statements(
        `INSERT INTO caravel_epoch (number, epoch, position, started_at)
          SELECT -7, '00000000-0000-4000-8000-000000000000', 0, started_at FROM caravel_epoch`,
        `UPDATE caravel_epoch SET position = ${last + 1} WHERE number = 1`
      )
      const epoch = { kind: "inconsistent", resourceType: "epoch" }
      expect(yield* found).toMatchObject([
        { ...epoch, resourceId: "-7", field: "number", found: -7 },
        { ...epoch, resourceId: "1", field: "position", found: last + 1, position: last + 1 }
      ])
      // In an unfinished copy, all numbers are negative.
      yield* statements(`UPDATE caravel_epoch SET position = 0, number = -abs(number)`)
      expect(yield* found).toEqual([])
    })
  )
})

describe("a journal that is damaged", () => {
  const refuses = Effect.gen(function*() {
    const error = yield* Effect.flip(Effect.flatMap(Journal, (journal) => journal.rebuild()))
    expect(error).toMatchObject({ _tag: "StorageError", reason: "corrupt", operation: "Journal.rebuild" })
  })

  test(
    "with an event of an unknown resource type is reported with the event's position",
    Effect.gen(function*() {
      yield* furnish
      yield* statements(
        "DROP TRIGGER caravel_event_unchanged",
        "PRAGMA ignore_check_constraints = ON",
        "UPDATE caravel_event SET resource_type = 'tEnant' WHERE position = 4"
      )
      expect((yield* found).filter(({ resourceType }) => resourceType === "event")).toMatchObject([
        { kind: "unreadable", resourceId: "4", field: "resourceType", position: 4 }
      ])
      yield* refuses
    })
  )

  test(
    "with events at positions that were never assigned is reported",
    Effect.gen(function*() {
      yield* furnish
      yield* statements(
        "PRAGMA foreign_keys = OFF",
        "DROP TRIGGER caravel_event_unchanged",
        "UPDATE caravel_event SET position = 40 WHERE position = 4"
      )
      expect(yield* found).toEqual(expect.arrayContaining([
        expect.objectContaining({ kind: "missing", resourceType: "event", resourceId: "4" }),
        expect.objectContaining({ kind: "inconsistent", resourceType: "event", resourceId: "40", field: "position" })
      ]))
      yield* refuses
    })
  )

  test(
    "with an event whose number is no position is reported with the position 0",
    Effect.gen(function*() {
      yield* furnish
      yield* statements(
        "PRAGMA foreign_keys = OFF",
        "DROP TRIGGER caravel_event_unchanged",
        "UPDATE caravel_event SET position = -position, created_at = position * 1e9 WHERE position IN (2, 3)"
      )
      const steps = yield* Stream.runCollect((yield* Journal).verify)
      const drifts = [...steps].flatMap(({ differences }) => differences)
      expect(drifts.filter((drift) => !Schema.is(Schema.typeSchema(Drift))(drift))).toEqual([])
      const misplaced = { kind: "inconsistent", resourceType: "event", field: "position", position: 0 }
      expect(drifts).toEqual(expect.arrayContaining([
        expect.objectContaining({ ...misplaced, resourceId: "-3", found: -3 }),
        expect.objectContaining({ ...misplaced, resourceId: "-2", found: -2 })
      ]))
      expect([...steps].flatMap(({ clocks }) => clocks)).toEqual([])
    })
  )

  test(
    "with a relay of a tenant that was never created is reported",
    Effect.gen(function*() {
      yield* furnish
      yield* statements(
        "DROP TRIGGER caravel_event_unchanged",
        `UPDATE caravel_event SET tenant = '${"b".repeat(64)}' WHERE resource_id = 'b'`
      )
      expect(yield* found).toMatchObject([
        { kind: "field", resourceId: "b", field: "tenant" },
        { kind: "inconsistent", resourceId: "b", field: "tenant", expected: "a tenant that was created", position: 5 }
      ])
      yield* refuses
    })
  )
})

it.scopedLive("an index that differs from its table is reported by verify, and a rebuild refuses", () =>
  Effect.gen(function*() {
    const filename = yield* temporaryFile
    yield* Effect.provide(furnish, Sqlite.layer({ filename }))
    const edit = (...texts: ReadonlyArray<string>) => {
      const database = new SqliteDatabase(filename)
      database.unsafeMode(true)
      database.pragma("writable_schema = ON")
      database.pragma("foreign_keys = OFF")
      for (const text of texts) database.exec(text)
      database.close()
    }
    // A row of the table changes while the index is disabled.
    edit(
      "CREATE TABLE hidden AS SELECT * FROM sqlite_schema WHERE name = 'caravel_relay_tenant'",
      "DELETE FROM sqlite_schema WHERE name = 'caravel_relay_tenant'"
    )
    edit(`UPDATE caravel_relay SET tenant = '${"c".repeat(64)}' WHERE id = 'a'`)
    edit(`UPDATE caravel_relay SET tenant = '${tenant}x' WHERE id = 'a'`)
    edit("INSERT INTO sqlite_schema SELECT * FROM hidden", "DROP TABLE hidden")
    yield* Effect.gen(function*() {
      const damages = (yield* found).filter(({ kind }) => kind === "damaged")
      expect(damages.length).toBeGreaterThan(0)
      expect(damages[0]).toMatchObject({ resourceType: "database", resourceId: "", position: 0 })
      expect(String(damages[0]!.found)).toContain("caravel_relay_tenant")
      const error = yield* Effect.flip(Effect.flatMap(Journal, (journal) => journal.rebuild()))
      expect(error).toMatchObject({ _tag: "StorageError", reason: "corrupt" })
      expect(error.message).toContain("caravel_relay_tenant")
    }).pipe(Effect.provide(Sqlite.layer({ filename })))
  }))
