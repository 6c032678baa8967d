import { LongRun } from "@caravel/conformance"
import { Query } from "@caravel/domain"
import { nextTurn } from "@caravel/domain/adapter"
import { Import, Sqlite } from "@caravel/sql"
import { expect, it } from "@effect/vitest"
import { Context, Effect, Layer, Random } from "effect"
import { statSync } from "node:fs"
import { join } from "node:path"
import { bundled, spawned } from "../fixtures/child.js"
import { drifts } from "../fixtures/importing.js"
import { expectedOf, lively, observed, writeSource } from "../fixtures/source.js"
import { raw, temporaryDirectory } from "../fixtures/sqlite.js"

/** In a long run, more activities than any user has. */
const activities = LongRun.count("CARAVEL_IMPORTED", { usual: 6000, long: 100_000 })

const sizeOf = (filename: string) => statSync(filename, { throwIfNoEntry: false })?.size ?? 0

/** Waits until a file's size has changed. */
const grown = (filename: string) =>
  Effect.suspend(() => {
    const before = sizeOf(filename)
    return Effect.iterate(before, {
      while: (size) => size === before,
      body: () => Effect.map(nextTurn, () => sizeOf(filename))
    })
  })

it.scopedLive(
  `an import of ${activities} activities, killed at random and restarted until it completes, equals an uninterrupted one`,
  () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const rows = lively(activities)
      // Some rows are refused, which is remembered too.
      const source = join(directory, "source.db")
      writeSource(source, { ...rows, relay: rows.relay.slice(1) })
      const [whole, killed] = [join(directory, "whole.db"), join(directory, "killed.db")]

      const script = yield* bundled("./import.ts")
      let rounds = 0
      for (let through = false; !through; rounds++) {
        // An import has about eight marks. The first two processes wait early for their end, so that a third is needed.
        const marks = yield* Random.nextIntBetween(1, rounds < 2 ? 4 : 8)
        const child = yield* spawned(script, [source, killed, ...(rounds < 2 ? [String(marks)] : [])])
        yield* child.writes(marks)
        // Either between two commits, or while one is written to the log.
        if (rounds >= 2 && (yield* Random.nextBoolean)) yield* Effect.raceFirst(grown(`${killed}-wal`), child.ended)
        yield* child.kill("SIGKILL")
        yield* child.ended
        expect(child.errors).toBe("")
        through = child.process.exitCode === 0
      }
      expect(rounds).toBeGreaterThan(2)

      const open = (filename: string) => Layer.build(Sqlite.layer({ filename, synchronous: "normal" }))
      const context = yield* open(whole)
      const report = yield* Effect.provide(Import.run({ source }), context)
      const again = yield* Effect.provide(Import.run({ source }), yield* open(killed))
      expect(again).toEqual(report)

      // Equal in every byte, except for the instants at which the imports started and ended.
      const dump = (filename: string) =>
        Effect.map(raw(filename), (database) => {
          const [started] = database.prepare("SELECT started_at FROM caravel_import").pluck().all()
          const all = (statement: string) => database.prepare(statement).all()
          return {
            events: all(
              `SELECT *, iif(created_at = ${started}, 0, created_at) AS created_at FROM caravel_event ORDER BY position`
            ),
            rows: [
              all("SELECT * FROM caravel_tenant"),
              all("SELECT * FROM caravel_relay"),
              all("SELECT * FROM caravel_secret")
            ],
            refused: all("SELECT * FROM caravel_import_refusal ORDER BY item")
          }
        })
      expect((yield* dump(killed)).events.length).toBe(report.events)
      expect(yield* dump(killed)).toEqual(yield* dump(whole))

      const expected = expectedOf({
        tenant: rows.tenant,
        relay: rows.relay.slice(1),
        activity: rows.activity.filter(({ resource_id }) => resource_id !== "relay-0")
      })
      expect(yield* observed(Context.get(context, Query))).toEqual(expected)
      expect(yield* Effect.provide(drifts, context)).toEqual([])
    }),
  LongRun.timeout(300_000)
)
