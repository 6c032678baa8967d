/** Each subject does the work of the others: the same rows, whatever writes them. */
import { expect, it } from "@effect/vitest"
import Database from "better-sqlite3"
import { Effect } from "effect"
import * as fs from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { commandNames } from "../src/Case.js"
import * as Load from "../src/Load.js"
import { subjects } from "../src/subjects/index.js"
import * as Template from "../src/Template.js"

const relays = 20

/** What is different each time: ids, subdomains, times. */
const masked = (row: unknown) =>
  JSON.stringify(row).replaceAll(/"(id|subdomain|created_at|resource_id)":("[^"]*"|\d+)/g, "\"$1\":0")
    .replaceAll(/\\"subdomain\\":\\"[^"]*\\"/g, "subdomain")

const written = (filename: string) => {
  const db = new Database(filename)
  try {
    const rows = (table: string) => db.prepare(`SELECT * FROM ${table} ORDER BY 1`).all()
    return {
      relays: rows("relay").map(masked).sort(),
      // Callers that were there at once may have come in another order.
      events: rows("event").map((event) => masked({ ...Object(event), position: 0 })).sort()
    }
  } finally {
    db.close()
  }
}

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
