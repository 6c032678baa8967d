/**
 * The checkpoints of consumers in the tables `caravel_consumer`, `caravel_lease` and `caravel_parked`.
 *
 * Rows are locked in one order, so that no two wait for one another: the lease, then the consumer, then what is parked, by
 * position; the journal's lock comes after them. What holds a consumer's row therefore waits for no lease: a consumer that
 * starts inserts what is not there, which waits for nobody who runs it, and changes the filter last.
 */
import { Activity, currentInstant, Epoch, Position, ResourceType, type StorageError } from "@caravel/domain"
import { CheckpointStore } from "@caravel/pubsub"
import type { Connection } from "@effect/sql/SqlConnection"
import { SqlError } from "@effect/sql/SqlError"
import { Array, Effect, Layer, Option, Order, Schema } from "effect"
import { Database } from "../database/Database.js"
import { toStorageError } from "../database/StorageErrors.js"
import { activityWhere } from "../read/ActivityWhere.js"
import { currentEpoch } from "../schema/Epochs.js"
import * as Table from "../statement/Table.js"
import { outside, transaction } from "./ConsumerTransactions.js"

const { LeaseLost } = CheckpointStore

const Count = Schema.NonNegativeInt

const { Instant } = Table

const consumer = Table.make("caravel_consumer", {
  name: Schema.String,
  position: Position,
  epoch: Epoch,
  filter: Schema.parseJson(CheckpointStore.Filter),
  attempts: Count,
  failedPosition: Schema.NullOr(Position),
  lastError: Schema.NullOr(Schema.String),
  progressedAt: Schema.NullOr(Instant),
  owner: Schema.NullOr(Schema.String),
  parked: Count
})

const lease = Table.make("caravel_lease", { fence: Count, heartbeat: Count, owner: Schema.NullOr(Schema.String) })

const parking = Table.make("caravel_activity", {
  ...Activity.fields,
  createdAt: Instant,
  attempts: Count,
  error: Schema.NullOr(Schema.String),
  parkedAt: Instant
})

const parkedResource = Table.make("caravel_parked", {
  resourceType: ResourceType,
  resourceId: Activity.fields.resourceId
})

const replays = Table.make("caravel_consumer", { requested: Count, done: Count })

const backlog = Table.make("caravel_activity", { activities: Count, since: Schema.NullOr(Instant) })

const encodeFilter = Schema.encodeSync(Schema.parseJson(CheckpointStore.Filter))

const checkpoints = `SELECT ${
  consumer.columns({
    owner: "caravel_lease.owner",
    parked: "(SELECT count(*) FROM caravel_parked WHERE caravel_parked.consumer = caravel_consumer.name)"
  })
} FROM caravel_consumer JOIN caravel_lease ON caravel_lease.consumer = caravel_consumer.name AND caravel_lease.task = 'run'`
const findCheckpoint = `${checkpoints} WHERE name = ?`
const listCheckpoints = `${checkpoints} ORDER BY name`
const countBacklog = `SELECT ${
  backlog.columns({ activities: "count(*)", since: "min(created_at)" })
} FROM caravel_activity`

const register = `INSERT INTO caravel_consumer (name, position, epoch, filter, attempts)
  VALUES (?, ?, (${currentEpoch}), ?, 0) ON CONFLICT (name) DO NOTHING`
const registerLease =
  `INSERT INTO caravel_lease (consumer, task, fence, heartbeat) SELECT name, ?, 0, 0 FROM caravel_consumer
  WHERE name = ? AND NOT EXISTS (SELECT 1 FROM caravel_lease WHERE consumer = ? AND task = ?) ON CONFLICT DO NOTHING`
const changeFilter = `UPDATE caravel_consumer SET filter = ? WHERE name = ? AND filter <> ?`

const findHolding = `SELECT ${lease.columns()} FROM caravel_lease WHERE consumer = ? AND task = ?`
const acquire = `UPDATE caravel_lease SET fence = fence + 1, owner = ?
  WHERE consumer = ? AND task = ? AND fence = ? AND heartbeat = ? RETURNING fence`
const hold = `UPDATE caravel_lease SET heartbeat = heartbeat + 1
  WHERE consumer = ? AND task = ? AND fence = ? AND owner IS NOT NULL RETURNING fence`
const release = `UPDATE caravel_lease SET owner = NULL WHERE consumer = ? AND task = ? AND fence = ?`

const move = `UPDATE caravel_consumer SET position = ?, progressed_at = ?,
    attempts = CASE WHEN failed_position > ? THEN attempts ELSE 0 END
  WHERE name = ? AND position IN (?, ?) RETURNING position`
const fail = `UPDATE caravel_consumer SET failed_position = ?, attempts = ?, last_error = ? WHERE name = ?`
const failParked = `UPDATE caravel_parked SET attempts = attempts + ?, error = ? WHERE consumer = ? AND position = ?`
const park = `INSERT INTO caravel_parked (consumer, position, resource_type, resource_id, attempts, error, parked_at)
  VALUES (?, ?, ?, ?, ?, ?, ?)
  ON CONFLICT (consumer, position) DO UPDATE SET attempts = excluded.attempts, error = excluded.error`
const parkBehind = `INSERT INTO caravel_parked
  (consumer, position, resource_type, resource_id, attempts, error, parked_at) VALUES (?, ?, ?, ?, 0, NULL, ?) ON CONFLICT DO NOTHING`
const isParked = `SELECT 1 FROM caravel_parked WHERE consumer = ? AND resource_type = ? AND resource_id = ? LIMIT 1`
const requestReplay = `UPDATE caravel_consumer SET replays_requested = 1 +
    CASE WHEN replays_done > replays_requested THEN replays_done ELSE replays_requested END WHERE name = ?
  RETURNING replays_requested`
const findReplays = `SELECT ${
  replays.columns({ requested: "replays_requested", done: "replays_done" })
} FROM caravel_consumer WHERE name = ?`
const replayed = `UPDATE caravel_consumer SET replays_done = ? WHERE name = ? AND replays_done < ?`
const unpark = `DELETE FROM caravel_parked WHERE consumer = ? AND position = ?`

const listParked = `SELECT ${
  parking.columns({ attempts: "attempts", error: "error", parkedAt: "parked_at" })
} FROM caravel_parked JOIN caravel_activity ON caravel_activity.position = caravel_parked.position
  WHERE caravel_parked.consumer = ? AND caravel_parked.position > ? ORDER BY caravel_parked.position LIMIT ?`
const isParkedBefore = `SELECT position FROM caravel_parked
  WHERE consumer = ? AND resource_type = ? AND resource_id = ? AND position < ? LIMIT 1`
const listResources = `SELECT DISTINCT ${parkedResource.columns()} FROM caravel_parked WHERE consumer = ?`
const dropAll = `DELETE FROM caravel_parked WHERE consumer = ? RETURNING position`
const drop = `DELETE FROM caravel_parked WHERE consumer = ? AND position = ? RETURNING position`
const dropAfter = `DELETE FROM caravel_parked WHERE consumer = ? AND position > ?`
const reset =
  `UPDATE caravel_consumer SET position = ?, epoch = (${currentEpoch}), attempts = 0 WHERE name = ? RETURNING position`
const revoke = `UPDATE caravel_lease SET fence = fence + 1, owner = NULL WHERE consumer = ? AND task = 'run'`

/** Checkpoints in the database whose activities they are about, so that a transaction may span both. */
export const layer: Layer.Layer<CheckpointStore.CheckpointStore, never, Database> = Layer.effect(
  CheckpointStore.CheckpointStore,
  Effect.map(Database, ({ current, dialect, read, transact, withLiveTransaction }) => {
    /** Writes in the caller's transaction, if there is one, and otherwise in one of its own. */
    const write = <A, E>(operation: string, use: (connection: Connection) => Effect.Effect<A, E | SqlError>) =>
      Effect.flatMap(
        current,
        (transaction) =>
          transaction === undefined ? transact(({ connection }) => use(connection)) : use(transaction.connection)
      ).pipe(
        Effect.catchIf(
          (error) => error instanceof SqlError,
          (error) => Effect.fail(toStorageError(dialect, `CheckpointStore.${operation}`)(error))
        )
      )

    // All that a lease's holder writes waits for the lease's row: in order, and without taking connections for that.
    const turns = new Map<string, Effect.Semaphore>()
    const inTurn = <A, E>(
      name: string,
      operation: string,
      use: (connection: Connection) => Effect.Effect<A, E | SqlError>
    ) => {
      const turn = turns.get(name) ?? Effect.unsafeMakeSemaphore(1)
      turns.set(name, turn)
      const written = write(operation, use)
      return Effect.flatMap(
        current,
        (transaction) => transaction === undefined ? turn.withPermits(1)(written) : written
      )
    }

    const fenced = <A>(
      operation: string,
      { consumer, fence, task }: CheckpointStore.Lease,
      use: (connection: Connection, now: number) => Effect.Effect<A, SqlError | CheckpointStore.LeaseLost>
    ) =>
      inTurn<A, CheckpointStore.LeaseLost | StorageError>(
        consumer,
        operation,
        (connection) =>
          Effect.flatMap(connection.executeValues(hold, [consumer, task, fence]), (held) =>
            held.length === 0
              ? new LeaseLost({ consumer, task })
              : Effect.flatMap(currentInstant, ({ epochMillis }) => use(connection, epochMillis)))
      )

    const run = (connection: Connection, statement: string, params: ReadonlyArray<unknown>) =>
      Effect.asVoid(connection.executeValues(statement, params))

    return {
      register: (name, position, filter) =>
        write("register", (connection) =>
          Effect.all([
            run(connection, register, [name, position, encodeFilter(filter)]),
            run(connection, registerLease, ["run", name, name, "run"]),
            run(connection, registerLease, ["replay", name, name, "replay"]),
            run(connection, changeFilter, [encodeFilter(filter), name, encodeFilter(filter)])
          ], { discard: true })),
      find: (name) => Effect.map(read("CheckpointStore.find", findCheckpoint, [name], consumer.decode), Array.head),
      list: read("CheckpointStore.list", listCheckpoints, [], consumer.decode),
      backlog: (after, filter) => {
        const [clause, params] = activityWhere({ ...filter, after })
        return Effect.map(
          read("CheckpointStore.backlog", `${countBacklog} ${clause}`, params, backlog.decode),
          ([counted]) => counted ?? { activities: 0, since: null }
        )
      },

      holding: (name, task) =>
        Effect.map(read("CheckpointStore.holding", findHolding, [name, task], lease.decode), Array.head),
      acquire: (name, task, { fence, heartbeat }, owner) =>
        write("acquire", (connection) =>
          Effect.map(
            connection.executeValues(acquire, [owner, name, task, fence, heartbeat]),
            ([row]) =>
              Option.map(Option.fromNullable(row), ([fence]) => ({ consumer: name, task, fence: Number(fence) }))
          )),
      renew: (lease) => fenced("renew", lease, () => Effect.void),
      release: ({ consumer, fence, task }) =>
        write("release", (connection) => run(connection, release, [consumer, task, fence])),

      move: (lease, from, to) =>
        fenced("move", lease, (connection, now) =>
          Effect.flatMap(
            connection.executeValues(move, [to, now, to, lease.consumer, from, to]),
            (moved) => moved.length === 0 ? new LeaseLost(lease) : Effect.void
          )),
      fail: (lease, position, attempts, error) =>
        fenced("fail", lease, (connection) =>
          lease.task === "run"
            ? run(connection, fail, [position, attempts, error, lease.consumer])
            : run(connection, failParked, [attempts, error, lease.consumer, position])),
      park: (lease, { position, resourceId, resourceType }, attempts, error) =>
        fenced(
          "park",
          lease,
          (connection, now) =>
            run(connection, park, [lease.consumer, position, resourceType, resourceId, attempts, error, now])
        ),
      parkBehind: (lease, activities) =>
        fenced(
          "parkBehind",
          lease,
          (connection, now) =>
            Effect.filter(activities, ({ position, resourceId, resourceType }) =>
              Effect.flatMap(
                connection.executeValues(isParked, [lease.consumer, resourceType, resourceId]),
                (parked) =>
                  parked.length === 0
                    ? Effect.succeed(true)
                    : Effect.as(
                      run(connection, parkBehind, [lease.consumer, position, resourceType, resourceId, now]),
                      false
                    )
              ))
        ),
      unpark: (lease, position) =>
        fenced("unpark", lease, (connection) => run(connection, unpark, [lease.consumer, position])),

      requestReplay: (name) =>
        write("requestReplay", (connection) =>
          Effect.map(
            connection.executeValues(requestReplay, [name]),
            ([row]) => Option.map(Option.fromNullable(row), ([count]) => Number(count))
          )),
      replays: (name) => Effect.map(read("CheckpointStore.replays", findReplays, [name], replays.decode), Array.head),
      replayed: (lease, count) =>
        fenced("replayed", lease, (connection) => run(connection, replayed, [count, lease.consumer, count])),

      parked: (name, after, limit) =>
        Effect.map(
          read("CheckpointStore.parked", listParked, [name, after, limit], parking.decode),
          Array.map(({ attempts, error, parkedAt, ...activity }): CheckpointStore.Parked => ({
            activity: Activity.trusted(activity),
            attempts,
            error,
            parkedAt
          }))
        ),
      isParkedBefore: (name, { position, resourceId, resourceType }) =>
        Effect.map(
          read(
            "CheckpointStore.isParkedBefore",
            isParkedBefore,
            [name, resourceType, resourceId, position],
            Effect.succeed
          ),
          (earlier) => earlier.length > 0
        ),
      parkedResources: (name) => read("CheckpointStore.parkedResources", listResources, [name], parkedResource.decode),
      drop: (name, positions) =>
        write("drop", (connection) =>
          positions === undefined
            ? Effect.map(connection.executeValues(dropAll, [name]), (rows) => rows.length)
            : Effect.map(
              Effect.forEach(
                Array.sort(positions, Order.number),
                (position) => connection.executeValues(drop, [name, position])
              ),
              (dropped) => dropped.flat().length
            )),
      reset: (name, position) =>
        write("reset", (connection) =>
          Effect.gen(function*() {
            yield* connection.executeValues(revoke, [name])
            const moved = yield* connection.executeValues(reset, [position, name])
            yield* connection.executeValues(dropAfter, [name, position])
            return moved.length > 0
          })),

      transaction: transaction(withLiveTransaction, dialect, "CheckpointStore.transaction"),
      outside
    }
  })
)
