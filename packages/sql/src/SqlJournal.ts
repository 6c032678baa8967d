import { Journal, Position } from "@caravel/domain"
import { Array, Effect, Layer, Order, Schema, Stream } from "effect"
import { Database } from "./Database.js"
import * as Epochs from "./Epochs.js"
import { toStorageError } from "./SqlError.js"
import * as SqlMender from "./SqlMender.js"
import * as SqlVerification from "./SqlVerification.js"

const decodeInstant = Schema.decodeUnknown(Schema.Tuple(Schema.Tuple(Schema.Number)))
const decodeHead = Schema.decodeUnknown(Schema.Tuple(Schema.Tuple(Position)))

/**
 * The journal in the table `caravel_event`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<Journal, never, Database> = Layer.effect(
  Journal,
  Effect.gen(function*() {
    const { dialect, read, rows: { event }, snapshot, transactLong } = yield* Database
    const verification = yield* SqlVerification.make
    const makeMender = yield* SqlMender.make
    const events = `SELECT ${event.columns()} FROM caravel_event`
    const page = `${events} WHERE position > ? ORDER BY position LIMIT ?`
    const head = "SELECT coalesce(max(position), 0) FROM caravel_event"
    const resourcePage = `${events} WHERE resource_id = ? AND resource_type = ? AND resource_version > ?
      ORDER BY resource_version LIMIT ?`
    const latestAt =
      "SELECT coalesce(latest_at, created_at) FROM caravel_event WHERE position >= ? ORDER BY position LIMIT 1"
    const headOf = Effect.map(read("Journal.head", head, [], decodeHead), ([[position]]) => position)
    const tenantPage =
      `${events} WHERE tenant = ? AND (activity_type IS NOT NULL OR type = 'RelayReconciled') AND position > ?
      ORDER BY position LIMIT ?`

    return {
      at: (positions) =>
        Effect.map(
          Effect.forEach(event.selectAt([...new Set(positions)]), ([text, params]) =>
            read("Journal.at", text, params, event.decode)),
          (pages) =>
            Array.sortWith(pages.flat(), ({ position }) => position, Order.number)
        ),
      read: (position, limit) => read("Journal.read", page, [position, limit], event.decode),
      head: headOf,
      // The latest instant of all events up to a position never goes back, so it can be halved.
      positionAt: ({ epochMillis }) =>
        Effect.gen(function*() {
          let found = 0
          for (let last: number = yield* headOf; found < last;) {
            const middle = Math.ceil((found + last) / 2)
            const [[latest]] = yield* read("Journal.positionAt", latestAt, [middle], decodeInstant)
            if (latest <= epochMillis) found = middle
            else last = middle - 1
          }
          return Position.make(found)
        }),
      epoch: read("Journal.epoch", Epochs.currentEpoch, [], Epochs.decodeCurrent),
      epochs: read("Journal.epochs", Epochs.allEpochs, [], Epochs.decodeAll),
      readResource: ({ resourceId, resourceType }, version, limit) =>
        read("Journal.readResource", resourcePage, [resourceId, resourceType, version, limit], event.decode),
      readTenant: (tenant, position, limit) =>
        read("Journal.readTenant", tenantPage, [tenant, position, limit], event.decode),
      verify: Stream.unwrapScoped(Effect.map(snapshot, (connection) => verification(connection, "Journal.verify"))),
      rebuild: (onStep = () => Effect.void) =>
        transactLong(({ connection }) =>
          Effect.gen(function*() {
            const mender = makeMender(connection)
            if (dialect.lock !== undefined) yield* connection.execute(dialect.lock, [], undefined)
            yield* connection.execute(dialect.deferForeignKeys, [], undefined)
            yield* Stream.runForEach(verification(connection, "Journal.rebuild", mender), onStep)
            return mender.written()
          })
        ).pipe(
          Effect.catchTag(
            "SqlError",
            (error) => Effect.fail(toStorageError(dialect, "Journal.rebuild")(SqlMender.explained(dialect, error)))
          )
        )
    }
  })
)
