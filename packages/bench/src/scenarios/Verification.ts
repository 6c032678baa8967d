import { Journal } from "@caravel/domain"
import { Sqlite } from "@caravel/sql"
import { Context, Effect, Layer, type Scope, Stream } from "effect"
import { performance } from "node:perf_hooks"
import process from "node:process"
import type { Case } from "../Case.js"
import { file, type Scenario } from "../Scenario.js"
import * as SqliteFile from "../SqliteFile.js"

const pageSize = 512

/** Opens a file. Returns an effect that reads all of its events and returns their number. */
type Pass = (filename: string) => Effect.Effect<Effect.Effect<number>, never, Scope.Scope>

const raw: Pass = (filename) =>
  Effect.map(SqliteFile.open({ filename, synchronous: "full" }), (db) => {
    const page = db.prepare<[after: number], { readonly position: number }>(
      `SELECT position, id, type, activity_type AS activityType, tenant, resource_type AS resourceType,
          resource_id AS resourceId, resource_version AS resourceVersion, payload, metadata, created_at AS createdAt,
          schema_version AS schemaVersion
        FROM caravel_event WHERE position > ? ORDER BY position LIMIT ${pageSize}`
    )
    return Effect.sync(() => {
      let read = 0
      for (let rows = page.all(0); rows.length > 0; rows = page.all(rows[rows.length - 1]!.position)) {
        read += rows.length
      }
      return read
    })
  })

const journal = (filename: string) =>
  Effect.map(Effect.orDie(Layer.build(Sqlite.layer({ filename }))), (context) => Context.get(context, Journal))

const verified: Pass = (filename) =>
  Effect.map(journal(filename), ({ verify }) =>
    verify.pipe(
      Stream.runFold(0, (_, { differences, events }) => {
        if (differences.length > 0) throw new Error("the template is wrong")
        return events
      }),
      Effect.orDie
    ))

/** Rebuilds a file whose rows were all deleted, so that all are written. */
const rebuilt: Pass = (filename) =>
  Effect.zipRight(
    Effect.scoped(Effect.map(SqliteFile.open({ filename, synchronous: "full" }), (db) => {
      db.exec("DELETE FROM caravel_relay; DELETE FROM caravel_tenant")
    })),
    Effect.map(journal(filename), ({ rebuild }) =>
      Effect.gen(function*() {
        let last = 0
        yield* rebuild(({ events }) => Effect.sync(() => void (last = events)))
        return last
      }).pipe(Effect.orDie))
  )

const scenario = (title: string, description: string, caravel: Pass): Scenario => ({
  title,
  description:
    `${description} Events per second, compared with better-sqlite3, which only reads the same rows in pages of ` +
    `${pageSize}; and the peak memory of a separate process (RSS, MiB).`,
  figures: { "events/s": 0, peak: 0 },
  comparisons: [{ title: "× raw", figure: "events/s", to: (value) => ({ ...value, subject: "raw" }) }],
  isolated: true,
  cases: ({ many }) => ["raw", "caravel"].map((subject): Case => ({ subject, events: many })),
  measure: (value, place) =>
    Effect.gen(function*() {
      const pass = yield* (value.subject === "raw" ? raw : caravel)(yield* file(value, place))
      const started = performance.now()
      const count = yield* pass
      const seconds = (performance.now() - started) / 1000
      return { "events/s": count / seconds, peak: process.resourceUsage().maxRSS / 1024 }
    })
})

/** How fast rows are compared with the journal. */
export const verify = scenario("Verify", "Journal.verify: every event folded, every row compared.", verified)

/** How fast rows are rebuilt. */
export const rebuild = scenario("Rebuild", "Journal.rebuild of a file whose rows have all been deleted.", rebuilt)
