import { History } from "@caravel/domain"
import { Sqlite } from "@caravel/sql"
import { Context, Effect, Layer, type Scope, Stream } from "effect"
import { existsSync } from "node:fs"
import { join } from "node:path"
import { performance } from "node:perf_hooks"
import type { Case } from "../Case.js"
import { relayId, tenants } from "../Input.js"
import { contentsOf, type Place, type Scenario } from "../Scenario.js"
import * as SqliteFile from "../SqliteFile.js"
import * as Template from "../Template.js"

/** How many events each relay has, in a short journal and in a long one. The number of relays follows from it. */
const own = 16

const relaysOf = (events: number) => Math.floor((events - tenants) / own)

/** Opens a file. Returns a function that reads a relay's whole history and returns its number of events. */
type Reader = (filename: string) => Effect.Effect<(id: string) => Effect.Effect<number>, never, Scope.Scope>

const readers: { readonly [subject: string]: Reader } = {
  raw: (filename) =>
    Effect.map(SqliteFile.open({ filename, synchronous: "full" }), (db) => {
      const history = db.prepare<[id: string], { readonly payload: string }>(
        `SELECT position, id, type, created_at AS createdAt, resource_version AS version, payload
          FROM caravel_event WHERE resource_id = ? AND resource_type = 'relay' ORDER BY resource_version`
      )
      return (id) =>
        Effect.sync(() => {
          const rows = history.all(id)
          for (const { payload } of rows) JSON.parse(payload)
          return rows.length
        })
    }),
  caravel: (filename) =>
    Effect.map(Effect.orDie(Layer.build(Sqlite.layer({ filename }))), (context) => {
      const history = Context.get(context, History)
      return (resourceId) => Effect.orDie(Stream.runCount(history.events({ resourceType: "relay", resourceId })))
    })
}

/**
 * A file in which the events of each relay are spread over the whole journal. It is only read, so all samples share it.
 */
const file = (events: number, { directory }: Place) => {
  const path = join(directory, `history-${events}.db`)
  return Effect.suspend(() =>
    Effect.as(existsSync(path) ? Effect.void : Template.make(path, { events, relays: relaysOf(events) }), path)
  )
}

/** The mean time to read a history, in microseconds, over these relays in turn. */
const timed = (read: (id: string) => Effect.Effect<number>, relay: (n: number) => string, millis: number) =>
  Effect.gen(function*() {
    const started = performance.now()
    let histories = 0
    while (histories === 0 || performance.now() - started < millis) {
      const count = yield* read(relay(histories++))
      if (count < own - 1) return yield* Effect.dieMessage(`a relay has ${count} events`)
    }
    return (performance.now() - started) / histories * 1000
  })

/** How the time to read one resource's history depends on the length of the journal. */
export const scenario: Scenario = {
  title: "History",
  description:
    `Microseconds for the history of a relay of ${own} events that are spread over the whole journal: of one relay ` +
    "repeatedly, and of one relay after another in scattered order, so that each event is on a page that must be " +
    "read from the file. Caravel uses history.events, with the changes of each event; raw reads the same rows and " +
    "parses the payload.",
  figures: { "µs/same": 1, "µs/other": 1 },
  comparisons: [
    { title: "same × short", figure: "µs/same", to: (value, { few }) => ({ ...value, events: few }) },
    { title: "other × short", figure: "µs/other", to: (value, { few }) => ({ ...value, events: few }) },
    { title: "same × raw", figure: "µs/same", to: (value) => ({ ...value, subject: "raw" }) }
  ],
  warmUp: true,
  cases: ({ few, many }) =>
    [few, many].flatMap((events) => Object.keys(readers).map((subject): Case => ({ subject, events }))),
  measure: (value, place) =>
    Effect.gen(function*() {
      const reader = readers[value.subject]
      if (reader === undefined) return yield* Effect.dieMessage(`no reader is called ${value.subject}`)
      const events = contentsOf(value, place.settings).events
      const relays = relaysOf(events)
      const read = yield* reader(yield* file(events, place))
      const millis = place.settings.millis / 2
      return {
        "µs/same": yield* timed(read, () => relayId(relays >> 1), millis),
        // Steps by a prime that does not divide the number of relays, so that consecutive reads are not adjacent in the
        // journal.
        "µs/other": yield* timed(read, (n) => relayId((n * 7919) % relays), millis)
      }
    })
}
