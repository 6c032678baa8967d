/** Checkpoints in the table `caravel_consumer`. */
import { ConsumerStore } from "@caravel/pubsub"
import { Array as Arr, Effect, Schema, Struct } from "effect"
import type { Database } from "../database/Database.js"
import { activityWhere } from "../read/Where.js"
import { consumerFields, leaseFields } from "../schema/ConsumerTables.js"
import { currentEpoch } from "../schema/Epochs.js"
import * as Table from "../statement/Table.js"
import { type ConsumerWrites, run } from "./ConsumerWrites.js"

const checkpoint = Table.make("caravel_consumer", {
  ...Struct.omit(consumerFields, "replaysRequested", "replaysDone"),
  owner: leaseFields.owner,
  parked: Schema.NonNegativeInt
})

const backlog = Table.make("caravel_activity", {
  activities: Schema.NonNegativeInt,
  since: Schema.NullOr(Table.Instant)
})

const encodeFilter = Schema.encodeSync(consumerFields.filter)

const selectCheckpoints = `SELECT ${
  checkpoint.columns({
    owner: "caravel_lease.owner",
    parked: "(SELECT count(*) FROM caravel_parked WHERE caravel_parked.consumer = caravel_consumer.name)"
  })
} FROM caravel_consumer JOIN caravel_lease ON caravel_lease.consumer = caravel_consumer.name AND caravel_lease.task = 'run'`
const find = `${selectCheckpoints} WHERE name = ?`
const list = `${selectCheckpoints} ORDER BY name`

/** Counts activities, and selects the instant of the first one: a wrong clock of a later one does not matter. */
const countBacklog = (clause: string) =>
  `SELECT ${
    backlog.columns({
      activities: "count(*)",
      since: `(SELECT created_at FROM caravel_activity ${clause} ORDER BY position LIMIT 1)`
    })
  } FROM caravel_activity ${clause}`

const insert = `INSERT INTO caravel_consumer (name, position, epoch, filter, attempts)
  VALUES (?, ?, (${currentEpoch}), ?, 0) ON CONFLICT (name) DO NOTHING`
const insertLease =
  `INSERT INTO caravel_lease (consumer, task, fence, heartbeat) SELECT name, ?, 0, 0 FROM caravel_consumer
  WHERE name = ? AND NOT EXISTS (SELECT 1 FROM caravel_lease WHERE consumer = ? AND task = ?) ON CONFLICT DO NOTHING`
const changeFilter = `UPDATE caravel_consumer SET filter = ? WHERE name = ? AND filter <> ?`

const move = `UPDATE caravel_consumer SET position = ?, progressed_at = ?,
    attempts = CASE WHEN failed_position > ? THEN attempts ELSE 0 END
  WHERE name = ? AND position IN (?, ?) RETURNING position`
const recordFailure = `UPDATE caravel_consumer SET failed_position = ?, attempts = ?, last_error = ? WHERE name = ?`

const revoke = `UPDATE caravel_lease SET fence = fence + 1, owner = NULL WHERE consumer = ? AND task = 'run'`
const reset =
  `UPDATE caravel_consumer SET position = ?, epoch = (${currentEpoch}), attempts = 0 WHERE name = ? RETURNING position`
const dropAfter = `DELETE FROM caravel_parked WHERE consumer = ? AND position > ?`

/** The checkpoints in a database. */
export const make = (
  { readCommitted }: typeof Database.Service,
  { fenced, write }: ConsumerWrites
): ConsumerStore.Checkpoints => ({
  register: (name, position, filter) =>
    write("Checkpoints.register", (connection) =>
      Effect.all([
        run(connection, insert, [name, position, encodeFilter(filter)]),
        ...ConsumerStore.Task.literals.map((task) => run(connection, insertLease, [task, name, name, task])),
        run(connection, changeFilter, [encodeFilter(filter), name, encodeFilter(filter)])
      ], { discard: true })),
  find: (name) => Effect.map(readCommitted("Checkpoints.find", find, [name], checkpoint.decode), Arr.head),
  list: readCommitted("Checkpoints.list", list, [], checkpoint.decode),
  backlog: (after, filter) => {
    const [clause, params] = activityWhere({ ...filter, after })
    return Effect.map(
      readCommitted("Checkpoints.backlog", countBacklog(clause), [...params, ...params], backlog.decode),
      ([counted]) => counted ?? { activities: 0, since: null }
    )
  },
  move: (lease, from, to) =>
    fenced("Checkpoints.move", lease, (connection, now) =>
      Effect.flatMap(
        connection.executeValues(move, [to, now, to, lease.consumer, from, to]),
        (moved) => moved.length === 0 ? new ConsumerStore.LeaseLost(lease) : Effect.void
      )),
  recordFailure: (lease, position, attempts, error) =>
    fenced(
      "Checkpoints.recordFailure",
      lease,
      (connection) => run(connection, recordFailure, [position, attempts, error, lease.consumer])
    ),
  reset: (name, position) =>
    write("Checkpoints.reset", (connection) =>
      Effect.gen(function*() {
        yield* connection.executeValues(revoke, [name])
        const moved = yield* connection.executeValues(reset, [position, name])
        yield* connection.executeValues(dropAfter, [name, position])
        return moved.length > 0
      }))
})
