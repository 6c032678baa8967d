/** Looks at committed state from outside, at once and without any fiber of the simulation. */
import { activityOf, type Journal, Position, type RecordedEvent } from "@caravel/domain"
import type { ConsumerStore } from "@caravel/pubsub"
import Sqlite from "better-sqlite3"
import { Effect } from "effect"
import { exempt } from "./FaultyDriver.js"
import { secretMark } from "./Program.js"

/** A consumer's committed checkpoint, and the positions before it that are parked. */
export interface Checkpoint {
  readonly name: string
  readonly position: number
  readonly parked: ReadonlySet<number>
}

export interface Observer {
  readonly head: () => number
  readonly has: (position: number, id: string) => boolean
  /** The number of events with this correlation id. */
  readonly countOf: (mark: string) => number
  readonly checkpoints: () => ReadonlyArray<Checkpoint>
  /** The activities' positions and types. */
  readonly activities: (after: number, upTo: number) => ReadonlyArray<readonly [position: number, type: string]>
  readonly notes: () => ReadonlyArray<string>
  /** The fence of a consumer's lease; undefined if it cannot be seen. */
  readonly fenceOf: (consumer: string) => number | undefined
  /** The positions whose effects a transactional consumer has committed; undefined if there are no transactions. */
  readonly effectsOf: (consumer: string) => ReadonlyArray<number> | undefined
  /** What is wrong with the stored state after everything has closed. */
  readonly remains: () => ReadonlyArray<string>
  readonly close: () => void
}

/** Looks at an SQLite file, over a connection of its own. */
export const ofFile = (filename: string): Observer => {
  const database = new Sqlite(filename)
  exempt.add(database)
  database.pragma("busy_timeout = 0")
  const values = (text: string) => {
    const statement = database.prepare(text).raw(true)
    return (...parameters: ReadonlyArray<unknown>) => statement.all(...parameters) as ReadonlyArray<ReadonlyArray<any>>
  }
  const head = values("SELECT coalesce(max(position), 0) FROM caravel_event")
  const has = values("SELECT 1 FROM caravel_event WHERE position = ? AND id = ?")
  const countOf = values("SELECT count(*) FROM caravel_event WHERE json_extract(metadata, '$.correlationId') = ?")
  const consumers = values("SELECT name, position FROM caravel_consumer")
  const parked = values("SELECT position FROM caravel_parked WHERE consumer = ?")
  const activities = values("SELECT position, activity_type FROM caravel_activity WHERE position > ? AND position <= ?")
  const fence = values("SELECT fence FROM caravel_lease WHERE task = 'run' AND consumer = ?")
  const notes = values("SELECT text FROM sim_note")
  const effects = values("SELECT position FROM sim_effect WHERE consumer = ? ORDER BY rowid")
  return {
    head: () => head()[0]![0],
    has: (position, id) => has(position, id).length > 0,
    countOf: (mark) => countOf(mark)[0]![0],
    checkpoints: () =>
      consumers().map(([name, position]) => ({
        name,
        position,
        parked: new Set(parked(name).map(([position]) => position))
      })),
    activities: (after, upTo) => activities(after, upTo).map(([position, type]) => [position, type]),
    notes: () => notes().map(([text]) => text),
    fenceOf: (consumer) => fence(consumer)[0]?.[0],
    effectsOf: (consumer) => effects(consumer).map(([position]) => position),
    remains: () => {
      const problems: Array<string> = []
      try {
        database.exec("BEGIN IMMEDIATE; ROLLBACK")
      } catch (error) {
        problems.push(`after everything has closed, the database is still locked: ${String(error)}`)
      }
      const tables = values("SELECT name FROM sqlite_schema WHERE type = 'table' AND name LIKE 'caravel%'")()
      for (const [table] of tables) {
        if (table === "caravel_secret") continue
        if (JSON.stringify(values(`SELECT * FROM ${table}`)()).includes(secretMark)) {
          problems.push(`the table ${table} holds a secret in clear`)
        }
      }
      return problems
    },
    close: () => database.close()
  }
}

/** Looks at services that answer without waiting. */
export const ofMemory = (
  services: () => {
    readonly journal: typeof Journal.Service
    readonly store: ConsumerStore.ConsumerStore["Type"]
  }
): Observer => {
  const events = (): ReadonlyArray<RecordedEvent> =>
    Effect.runSync(services().journal.read(Position.make(0), Number.MAX_SAFE_INTEGER))
  return {
    head: () => Effect.runSync(services().journal.head),
    has: (position, id) => events()[position - 1]?.id === id,
    countOf: (mark) => events().filter(({ metadata }) => metadata.correlationId === mark).length,
    checkpoints: () =>
      Effect.runSync(
        Effect.flatMap(
          services().store.checkpoints.list,
          Effect.forEach(({ name, position }) =>
            Effect.map(services().store.parking.list(name, Position.make(0), Number.MAX_SAFE_INTEGER), (parked) => ({
              name,
              position,
              parked: new Set<number>(parked.map(({ activity }) => activity.position))
            }))
          )
        )
      ),
    activities: (after, upTo) =>
      events().slice(after, upTo).flatMap((event) => {
        const activity = activityOf(event)
        return activity === undefined ? [] : [[activity.position, activity.activityType] as const]
      }),
    notes: () => [],
    fenceOf: () => undefined,
    effectsOf: () => undefined,
    remains: () => [],
    close: () => {}
  }
}
