import { ActivityFeed } from "@caravel/domain"
import { Sqlite } from "@caravel/sql"
import { Chunk, Effect, Layer, type Scope, Stream } from "effect"
import { performance } from "node:perf_hooks"
import type { Case } from "../Case.js"
import { contentsOf, file, type Scenario } from "../Scenario.js"
import * as SqliteFile from "../SqliteFile.js"

const pageSize = 256

/**
 * Opens a file. Returns an effect that reads `count` activities from the beginning and returns how many it has read.
 */
export type Reader = (filename: string, count: number) => Effect.Effect<Effect.Effect<number>, never, Scope.Scope>

/** Reads with better-sqlite3, page by page. */
export const raw: Reader = (filename, count) =>
  Effect.map(SqliteFile.open({ filename, synchronous: "full" }), (db) => {
    const page = db.prepare<[after: number, limit: number], { readonly position: number }>(
      `SELECT position, id, tenant, created_at AS createdAt, activity_type AS activityType,
            resource_type AS resourceType, resource_id AS resourceId
          FROM caravel_activity WHERE position > ? ORDER BY position LIMIT ?`
    )
    return Effect.sync(() => {
      let read = 0
      let after = 0
      while (read < count) {
        const rows = page.all(after, pageSize)
        read += rows.length
        after = rows.at(-1)?.position ?? Number.POSITIVE_INFINITY
      }
      return read
    })
  })

const caravel: Reader = (filename, count) =>
  Effect.map(Layer.build(Sqlite.layer({ filename })), (context) => Effect.provide(catchUp(count, () => {}), context))
    .pipe(Effect.orDie)

/** The number of activities that readers read per second. */
export const measure = (readers: { readonly [subject: string]: Reader }): Scenario["measure"] => (value, place) =>
  Effect.gen(function*() {
    const reader = readers[value.subject]
    if (reader === undefined) return yield* Effect.dieMessage(`no reader is called ${value.subject}`)
    const read = yield* reader(yield* file(value, place), contentsOf(value, place.settings).events)
    const started = performance.now()
    const count = yield* read
    return { "activities/s": count / (performance.now() - started) * 1000 }
  })

/** Reads `count` activities from the beginning, and calls back after each page with the number so far. */
export const catchUp = (count: number, onPage: (read: number) => void): Effect.Effect<number, never, ActivityFeed> =>
  Effect.gen(function*() {
    const feed = yield* ActivityFeed
    let read = 0
    yield* feed.since(0).pipe(
      Stream.take(count),
      Stream.runForEachChunk((page) => Effect.sync(() => onPage(read += Chunk.size(page))))
    )
    return read
  }).pipe(Effect.orDie)

/** How fast a late subscriber catches up. */
export const scenario: Scenario = {
  title: "Catch-up",
  description:
    "Activities per second from the first to the last, decoded. Caravel reads with feed.since(0); raw reads the same " +
    `rows from the view as plain objects, in pages of ${pageSize}.`,
  figures: { "activities/s": 0 },
  comparisons: [{ title: "× raw", figure: "activities/s", to: (value) => ({ ...value, subject: "raw" }) }],
  cases: ({ many, some }) =>
    [some, many].flatMap((events) => ["raw", "caravel"].map((subject): Case => ({ subject, events }))),
  warmUp: true,
  measure: measure({ raw, caravel })
}
