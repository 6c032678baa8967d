/** The events of a journal stay readable forever, and are never changed. */
import { Command, events, Journal, Position } from "@caravel/domain"
import { type Upcasters, versionOf } from "@caravel/domain/adapter"
import { Sqlite } from "@caravel/sql"
import { SqlClient } from "@effect/sql/SqlClient"
import { describe, expect, it } from "@effect/vitest"
import type SqliteDatabase from "better-sqlite3"
import { Effect, Either, Record as Rec } from "effect"
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import * as Rows from "../../src/schema/Tables.js"
import { sqlite } from "../../src/sqlite/SqliteDialect.js"
import { raw, temporaryDirectory } from "../fixtures/sqlite.js"

const folder = new URL("../frozen/", import.meta.url)

const lines = (name: string): ReadonlyArray<any> =>
  readFileSync(new URL(name, folder), "utf8").trim().split("\n").map((line) => JSON.parse(line))

/** The events that were frozen when this version was the newest. Later tags are in separate files. */
const frozen = (version: number) =>
  readdirSync(folder).filter((name) => name.startsWith(`events-${version}.`) && !name.includes("today")).toSorted()
    .flatMap((name) => lines(name).slice(1)).toSorted((one, other) => one.position - other.position)

const version1 = frozen(1)

const today = readdirSync(folder).filter((name) => /^events-1\..*today\.jsonl$/.test(name)).flatMap(lines)
  .toSorted((one, other) => one.position - other.position)

const insert = (database: SqliteDatabase.Database, row: object) => {
  const columns = Object.keys(row)
  database.prepare(
    `INSERT INTO caravel_event (${columns.join(", ")}) VALUES (${columns.map((column) => `@${column}`).join(", ")})`
  ).run(row)
}

/** A database with these events and nothing else. */
const journalOf = (rows: ReadonlyArray<object>) =>
  Effect.gen(function*() {
    const filename = join(yield* temporaryDirectory, "caravel.db")
    yield* Effect.provide(Effect.asVoid(Journal), Sqlite.layer({ filename }))
    const database = yield* raw(filename)
    rows.forEach((row) => insert(database, row))
    return filename
  })

const read = Effect.flatMap(Journal, (journal) => journal.read(Position.make(0), 1000))

describe("the frozen events", () => {
  it.scopedLive("are read with their original meaning", () =>
    Effect.gen(function*() {
      const filename = yield* journalOf(version1)
      const events = yield* Effect.provide(read, Sqlite.layer({ filename }))
      expect(JSON.parse(JSON.stringify(events))).toEqual(today)
    }))

  it.each(Rec.keys(events))("include %s in every version", (tag) => {
    for (let version = 1; version <= versionOf(tag); version++) {
      expect(frozen(version).map(({ type }) => type)).toContain(tag)
    }
  })
})

/** For each event, the fields of its changes at version 1, 2 and so on. */
const fields = JSON.parse(readFileSync(new URL("fields.json", folder), "utf8"))

it.each(Rec.toEntries(events))("the version of %s grows when it gets or loses a field", (tag, { fields: event }) => {
  expect(fields[tag]).toHaveLength(versionOf(tag))
  expect(Object.keys(event.changes.fields).toSorted()).toEqual(fields[tag].at(-1).toSorted())
})

describe("an event of another version", () => {
  const { event } = Rows.make(sqlite)
  const columns = event.columns().split(", ").map((column) => column.replace("caravel_event.", ""))
  const deactivated = version1.find(({ type }) => type === "RelayDeactivated")
  const rowOf = (changes: object) =>
    columns.map((column) => ({ ...deactivated, schema_version: 1, ...changes })[column])

  it("is converted to the current version if it is older", () => {
    const upcasters: Upcasters = { RelayDeactivated: [({ off }) => ({ status: off === true ? "inactive" : off })] }
    const version2 = Rows.make(sqlite, { upcasters }).event
    const old = version2.decodeRow(rowOf({ payload: "{\"off\":true}" }))
    const new_ = version2.decodeRow(rowOf({ schema_version: 2 }))
    expect(Either.getOrThrow(old)).toMatchObject({ _tag: "RelayDeactivated", changes: { status: "inactive" } })
    expect(old).toEqual(new_)
    expect(Either.isLeft(version2.decodeRow(rowOf({ payload: "{\"off\":7}" })))).toBe(true)
    const [statement] = version2.insert()([Either.getOrThrow(old)], -Infinity)
    expect(statement?.[1][columns.indexOf("schema_version")]).toBe(2)
  })

  it.scopedLive("is refused with the reason if it is newer", () =>
    Effect.gen(function*() {
      const filename = yield* journalOf([{ ...deactivated, schema_version: 2 }])
      const error = yield* Effect.flip(Effect.provide(read, Sqlite.layer({ filename })))
      expect(error).toMatchObject({ _tag: "StorageError", reason: "newer", operation: "Journal.read" })
      expect(error.message).toContain(`the RelayDeactivated at position ${deactivated.position} has version 2`)
      expect(error.message).toContain("written by a newer version")
    }))
})

describe("the journal", () => {
  it.scopedLive("refuses changes and deletions by any program, and keeps working", () =>
    Effect.gen(function*() {
      const filename = yield* journalOf(version1)
      const database = yield* raw(filename)
      const refusal = (statement: string) => {
        try {
          return database.prepare(statement).run()
        } catch (error) {
          return String(error)
        }
      }
      const change = "the journal is append-only: an event is never changed"
      const deletion = "the journal is append-only: an event is never deleted"
      expect(refusal("UPDATE caravel_event SET metadata = '{}' WHERE position = 2")).toContain(change)
      expect(refusal("UPDATE OR REPLACE caravel_event SET position = 1 WHERE position = 2")).toContain(change)
      expect(refusal("DELETE FROM caravel_event WHERE position = 2")).toContain(deletion)
      expect(refusal("DELETE FROM caravel_event")).toContain(deletion)

      yield* Effect.gen(function*() {
        const sql = yield* SqlClient
        const replaced = yield* Effect.flip(
          sql`INSERT OR REPLACE INTO caravel_event SELECT * FROM caravel_event WHERE position = 2`
        )
        expect(String(replaced.cause)).toContain(deletion)
        expect(JSON.parse(JSON.stringify(yield* read))).toEqual(today)
        const command = yield* Command
        expect((yield* command.createTenant({ pubkey: "e".repeat(64) })).position).toBe(version1.length + 1)
      }).pipe(Effect.provide(Sqlite.layer({ filename })))
    }))
})
