import { evolve, Journal, Position, Query, stateOf } from "@caravel/domain"
import { Sqlite } from "@caravel/sql"
import { expect, it } from "@effect/vitest"
import { Array as Arr, Clock, Effect, HashMap, Order } from "effect"
import * as fs from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as Template from "../src/Template.js"

const temporaryFile = Effect.map(
  Effect.acquireRelease(
    Effect.promise(() => fs.mkdtemp(join(tmpdir(), "caravel-bench-test-"))),
    (directory) => Effect.promise(() => fs.rm(directory, { recursive: true }))
  ),
  (directory) => join(directory, "template.db")
)

it.scopedLive("a template is a journal as Caravel writes it, and its rows follow from it", () =>
  Effect.gen(function*() {
    const filename = yield* temporaryFile
    yield* Template.make(filename, { events: 133, relays: 20 })
    yield* Effect.gen(function*() {
      const events = yield* (yield* Journal).read(Position.make(0), 1000)
      expect(events.map(({ position }) => position)).toEqual(Arr.range(1, 133))
      expect(new Set(events.map(({ id }) => id)).size).toBe(133)
      // What comes next has a later id than all.
      const now = yield* Clock.currentTimeMillis
      expect(Math.max(...events.map(({ createdAt }) => createdAt.epochMillis))).toBeLessThan(now)

      const { relays } = events.reduce(evolve, stateOf([], []))
      const folded = Arr.sortWith(HashMap.values(relays), ({ id }) => id, Order.string)
      const rows = yield* (yield* Query).relays
      expect(rows.map((relay) => ({ ...relay }))).toEqual(folded.map((relay) => ({ ...relay })))
      expect(new Set(rows.map(({ status }) => status))).toEqual(new Set(["active", "inactive"]))
    }).pipe(Effect.provide(Sqlite.layer({ filename })))
  }))

it.scoped("an empty template has a schema and nothing else", () =>
  Effect.gen(function*() {
    const filename = yield* temporaryFile
    yield* Template.make(filename, { events: 0, relays: 20 })
    const events = yield* Effect.provide(Effect.flatMap(Journal, ({ head }) => head), Sqlite.layer({ filename }))
    expect(events).toBe(0)
  }))
