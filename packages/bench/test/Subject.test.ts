/** Each subject does the work of the others: the same rows, whatever writes them. */
import { expect, it } from "@effect/vitest"
import Database from "better-sqlite3"
import { Effect } from "effect"
import * as fs from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import process from "node:process"
import { commandNames } from "../src/Case.js"
import * as Load from "../src/Load.js"
import * as PostgresSchema from "../src/PostgresSchema.js"
import { postgresSubjects, subjects } from "../src/subjects/index.js"
import * as Template from "../src/Template.js"

const relays = 20

/** What is different each time: ids, subdomains, times. */
const masked = (row: unknown) =>
  JSON.stringify(row).replaceAll(/"(id|subdomain|created_at|latest_at|resource_id)":("[^"]*"|\d+|null)/g, "\"$1\":0")
    .replaceAll(/\\"subdomain\\":\\"[^"]*\\"/g, "subdomain")

const written = (filename: string) => {
  const db = new Database(filename)
  try {
    const rows = (table: string) => db.prepare(`SELECT * FROM ${table} ORDER BY 1`).all()
    return {
      relays: rows("caravel_relay").map(masked).sort(),
      // Callers that were there at once may have come in another order.
      events: rows("caravel_event").map((event) => masked({ ...Object(event), position: 0 })).sort()
    }
  } finally {
    db.close()
  }
}

/** The rows of a schema, in the form in which `written` returns those of a file. */
const writtenAt = (url: string) =>
  Effect.gen(function*() {
    // As text: Emmett has the driver parse numbers otherwise, for all.
    const rows = (table: string) =>
      Effect.map(
        PostgresSchema.execute(url, `SELECT to_json(row)::text FROM ${table} AS row`),
        (rows) => rows.map((row): unknown => JSON.parse(String(Object.values(row)[0])))
      )
    return {
      relays: (yield* rows("caravel_relay")).map(masked).sort(),
      events: (yield* rows("caravel_event")).map((row) => masked(row).replace(/"position":\d+/, "")).sort()
    }
  })

const files = Object.entries(subjects).filter(([, { volatile }]) => volatile !== true)

it.scoped("subjects write the same rows, and tell of each command", () =>
  Effect.gen(function*() {
    const directory = yield* Effect.acquireRelease(
      Effect.promise(() => fs.mkdtemp(join(tmpdir(), "caravel-bench-test-"))),
      (directory) => Effect.promise(() => fs.rm(directory, { recursive: true }))
    )
    const template = join(directory, "template.db")
    yield* Template.make(template, { events: 100, relays })
    const results = yield* Effect.forEach(files, ([name, { open }]) =>
      Effect.gen(function*() {
        const filename = join(directory, `${name}.db`)
        yield* Template.copy(template, filename)
        yield* Effect.scoped(Effect.gen(function*() {
          const session = yield* open({ filename, synchronous: "normal", relays })
          for (const command of commandNames) {
            // Fails if one is not announced.
            const { commands } = yield* Load.run(session, {
              command,
              callers: 8,
              relays,
              millis: Number.POSITIVE_INFINITY,
              commands: 64
            })
            expect(commands, name).toBe(64)
          }
        }))
        return { name, ...written(filename) }
      }))

    const [raw] = results
    for (const { events, name, relays } of results) {
      expect(relays, name).toEqual(raw?.relays)
      // Two have journals of their own.
      if (name !== "eventlog" && name !== "emmett") expect(events, name).toEqual(raw?.events)
    }
  }), 60_000)

if (PostgresSchema.skipped !== undefined) {
  process.stderr.write(`subjects on PostgreSQL skipped: ${PostgresSchema.skipped}\n`)
}

it.scopedLive.skipIf(PostgresSchema.skipped !== undefined)(
  "and so do they on PostgreSQL, in a part of the relays",
  () =>
    Effect.gen(function*() {
      // So many that callers do not meet at one.
      const relays = 100
      const results = yield* Effect.forEach(Object.entries(postgresSubjects), ([name, { open, prepare }]) =>
        Effect.gen(function*() {
          const url = yield* PostgresSchema.temporary("test", relays)
          yield* prepare(url)
          yield* Effect.scoped(Effect.gen(function*() {
            const session = yield* open({ url })
            for (const command of commandNames) {
              const load = { command, relays, part: { index: 1, of: 2 }, callers: 8, millis: Number.POSITIVE_INFINITY }
              const { commands } = yield* Load.run(session, { ...load, commands: 64 })
              expect(commands, name).toBe(64)
            }
          }))
          return { name, ...(yield* writtenAt(url)) }
        }).pipe(Effect.scoped))

      const caravel = results.find(({ name }) =>
        name === "postgres-caravel"
      )
      for (const { events, name, relays } of results) {
        expect(relays, name).toEqual(caravel?.relays)
        if (name !== "postgres-emmett") {
          expect(events, name).toEqual(caravel?.events)
        }
      }
    }),
  60_000
)
