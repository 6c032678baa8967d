/** Parked activities in the table `caravel_parked`; requests to replay them are counted in `caravel_consumer`. */
import { Activity, ResourceType } from "@caravel/domain"
import { resourceKey } from "@caravel/domain/adapter"
import type { ConsumerStore } from "@caravel/pubsub"
import { Array as Arr, Effect, Option, Order, Schema, Struct } from "effect"
import type { Database } from "../database/Database.js"
import { parkedFields } from "../schema/ConsumerTables.js"
import * as Script from "../statement/StatementScript.js"
import * as Table from "../statement/Table.js"
import { type ConsumerWrites, run } from "./ConsumerWrites.js"

const parked = Table.make("caravel_activity", {
  ...Activity.fields,
  createdAt: Table.Instant,
  ...Struct.pick(parkedFields, "attempts", "error", "parkedAt")
})

const resource = Table.make("caravel_parked", {
  resourceType: ResourceType,
  resourceId: Activity.fields.resourceId
})

const row = Table.make("caravel_parked", {
  ...parkedFields,
  resourceId: Activity.fields.resourceId,
  parkedAt: Schema.Number
})

const replays = Table.make("caravel_consumer", { requested: Schema.NonNegativeInt, done: Schema.NonNegativeInt })

const insertFailed = row.insert(
  "ON CONFLICT (consumer, position) DO UPDATE SET attempts = excluded.attempts, error = excluded.error"
)
// One that is parked already keeps its failure. Its row is not locked.
const insertWaiting = row.insert("ON CONFLICT DO NOTHING")

/** Selects the keys of those resources that have parked activities. */
const selectBlocked = Table.chunked<readonly [consumer: string, key: string, resource: ConsumerStore.Resource]>(
  (size) =>
    `WITH waiting (name, key, type, id) AS (VALUES ${Table.repeat("(?, ?, ?, ?)", size)})
  SELECT key FROM waiting WHERE EXISTS
    (SELECT 1 FROM caravel_parked WHERE consumer = name AND resource_type = type AND resource_id = id)`,
  (waiting) =>
    waiting.flatMap(([consumer, key, { resourceId, resourceType }]) => [consumer, key, resourceType, resourceId])
)
const recordFailure = `UPDATE caravel_parked SET attempts = attempts + ?, error = ? WHERE consumer = ? AND position = ?`

const list = `SELECT ${
  parked.columns({ attempts: "attempts", error: "error", parkedAt: "parked_at" })
} FROM caravel_parked JOIN caravel_activity ON caravel_activity.position = caravel_parked.position
  WHERE caravel_parked.consumer = ? AND caravel_parked.position > ? ORDER BY caravel_parked.position LIMIT ?`
const isParkedBefore = `SELECT position FROM caravel_parked
  WHERE consumer = ? AND resource_type = ? AND resource_id = ? AND position < ? LIMIT 1`
const resources = `SELECT DISTINCT ${resource.columns()} FROM caravel_parked WHERE consumer = ?`
const dropAll = `DELETE FROM caravel_parked WHERE consumer = ? RETURNING position`
const drop = `DELETE FROM caravel_parked WHERE consumer = ? AND position = ? RETURNING position`
/** Waits for the transaction of the run, which has locked the row to renew its lease. */
const lockRun = `SELECT task FROM caravel_lease WHERE consumer = ? AND task = 'run' FOR SHARE`

const requestReplay = `UPDATE caravel_consumer SET replays_requested = 1 +
    CASE WHEN replays_done > replays_requested THEN replays_done ELSE replays_requested END WHERE name = ?
  RETURNING replays_requested`
const findReplays = `SELECT ${
  replays.columns({ requested: "replays_requested", done: "replays_done" })
} FROM caravel_consumer WHERE name = ?`
const completeReplays = `UPDATE caravel_consumer SET replays_done = ? WHERE name = ? AND replays_done < ?`

/** The parked activities in a database. */
export const make = (database: typeof Database.Service, writes: ConsumerWrites): ConsumerStore.Parking => ({
  ...parkedIn(database, writes),
  ...replaysIn(database, writes)
})

function* park(
  consumer: string,
  activities: ReadonlyArray<ConsumerStore.ToPark>,
  parkedAt: number
): Script.StatementScript<ReadonlyArray<Activity>> {
  const rowOf = ({ activity: { position, resourceId, resourceType }, attempts, error }: ConsumerStore.ToPark) => ({
    consumer,
    position,
    resourceType,
    resourceId,
    attempts,
    error,
    parkedAt
  })
  const [waiting, failed] = Arr.partition(activities, ({ attempts }) => attempts > 0)
  const resources = new Map(waiting.map(({ activity }) => [resourceKey(activity), activity]))
  const stored = yield* Script.select(
    selectBlocked(Array.from(resources, ([key, resource]) => [consumer, key, resource]))
  )
  const blocked = new Set(stored.map(([key]) => key))
  for (const { activity } of failed) blocked.add(resourceKey(activity))
  const [free, behind] = Arr.partition(waiting, ({ activity }) => blocked.has(resourceKey(activity)))
  yield* Script.execute(insertFailed(failed.map(rowOf)))
  yield* Script.execute(insertWaiting(behind.map(rowOf)))
  return free.map(({ activity }) => activity)
}

type Replays = Pick<ConsumerStore.Parking, "requestReplay" | "replays" | "completeReplays">

const parkedIn = (
  { dialect, readCommitted }: typeof Database.Service,
  { fenced, write }: ConsumerWrites
): Omit<ConsumerStore.Parking, keyof Replays> => ({
  park: (lease, activities) =>
    fenced(
      "Parking.park",
      lease,
      (connection, now) => Script.run(connection, park(lease.consumer, activities, now))
    ),
  recordFailure: (lease, position, attempts, error) =>
    fenced(
      "Parking.recordFailure",
      lease,
      (connection) => run(connection, recordFailure, [attempts, error, lease.consumer, position])
    ),
  unpark: (lease, position) =>
    fenced(
      "Parking.unpark",
      lease,
      (connection) => Effect.map(connection.executeValues(drop, [lease.consumer, position]), (rows) => rows.length > 0)
    ),
  // SQLite runs one transaction at a time.
  settled: (name) =>
    dialect.isServer ? write("Parking.settled", (connection) => run(connection, lockRun, [name])) : Effect.void,

  list: (name, after, limit) =>
    Effect.map(
      readCommitted("Parking.list", list, [name, after, limit], parked.decode),
      Arr.map(({ attempts, error, parkedAt, ...activity }): ConsumerStore.Parked => ({
        activity: Activity.trusted(activity),
        attempts,
        error,
        parkedAt
      }))
    ),
  isParkedBefore: (name, { position, resourceId, resourceType }) =>
    Effect.map(
      readCommitted(
        "Parking.isParkedBefore",
        isParkedBefore,
        [name, resourceType, resourceId, position],
        Effect.succeed
      ),
      (earlier) => earlier.length > 0
    ),
  resources: (name) => readCommitted("Parking.resources", resources, [name], resource.decode),
  drop: (name, positions) =>
    write("Parking.drop", (connection) =>
      positions === undefined
        ? Effect.map(connection.executeValues(dropAll, [name]), (rows) => rows.length)
        : Effect.map(
          Effect.forEach(
            Arr.sort(positions, Order.number),
            (position) => connection.executeValues(drop, [name, position])
          ),
          (dropped) => dropped.flat().length
        ))
})

const replaysIn = ({ readCommitted }: typeof Database.Service, { fenced, write }: ConsumerWrites): Replays => ({
  requestReplay: (name) =>
    write("Parking.requestReplay", (connection) =>
      Effect.map(
        connection.executeValues(requestReplay, [name]),
        ([row]) => Option.map(Option.fromNullable(row), ([count]) => Number(count))
      )),
  replays: (name) => Effect.map(readCommitted("Parking.replays", findReplays, [name], replays.decode), Arr.head),
  completeReplays: (lease, count) =>
    fenced(
      "Parking.completeReplays",
      lease,
      (connection) => run(connection, completeReplays, [count, lease.consumer, count])
    )
})
