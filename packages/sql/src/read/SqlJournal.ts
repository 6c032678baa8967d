import { events as eventTypes, Journal, Position, StorageError, type Verification } from "@caravel/domain"
import { activityTypeOf, damagedDatabase, isMetered } from "@caravel/domain/adapter"
import { Array as Arr, Effect, Fiber, Layer, Order, Record as Rec, Schema, Stream } from "effect"
import { Database } from "../database/Database.js"
import { toStorageError } from "../database/StorageErrors.js"
import * as ProjectionRepair from "../maintain/ProjectionRepair.js"
import * as SqlBookkeeping from "../maintain/SqlBookkeeping.js"
import * as SqlVerification from "../maintain/SqlVerification.js"
import * as Epochs from "../schema/Epochs.js"
import { execute, run } from "../statement/StatementScript.js"

const decodeInstant = Schema.decodeUnknown(Schema.Tuple(Schema.Tuple(Schema.Number)))
const decodeHead = Schema.decodeUnknown(Schema.Tuple(Schema.Tuple(Position)))

/** The journal in the table `caravel_event`. */
export const layer: Layer.Layer<Journal, never, Database> = Layer.effect(
  Journal,
  Effect.gen(function*() {
    const { readCommitted, tables: { event } } = yield* Database
    const events = `SELECT ${event.columns()} FROM caravel_event`
    const page = `${events} WHERE position > ? ORDER BY position LIMIT ?`
    const head = "SELECT coalesce(max(position), 0) FROM caravel_event"
    const resourcePage = `${events} WHERE resource_id = ? AND resource_type = ? AND resource_version > ?
      ORDER BY resource_version LIMIT ?`
    const latestAt =
      "SELECT coalesce(latest_at, created_at) FROM caravel_event WHERE position >= ? ORDER BY position LIMIT 1"
    const currentHead = Effect.map(readCommitted("Journal.head", head, [], decodeHead), ([[position]]) => position)
    const tenantPage = `${events} WHERE tenant = ? AND (${isMeteredRow}) AND position > ? ORDER BY position LIMIT ?`

    return {
      at: (positions) =>
        Effect.map(
          Effect.forEach(event.selectAt([...new Set(positions)]), ([text, params]) =>
            readCommitted("Journal.at", text, params, event.decode)),
          (pages) =>
            Arr.sortWith(pages.flat(), ({ position }) => position, Order.number)
        ),
      read: (position, limit) => readCommitted("Journal.read", page, [position, limitOf(limit)], event.decode),
      head: currentHead,
      // The latest instant of all events up to a position never decreases, so a binary search finds it.
      positionAt: ({ epochMillis }) =>
        Effect.gen(function*() {
          let found = 0
          for (let last: number = yield* currentHead; found < last;) {
            const middle = Math.ceil((found + last) / 2)
            const [[latest]] = yield* readCommitted("Journal.positionAt", latestAt, [middle], decodeInstant)
            if (latest <= epochMillis) found = middle
            else last = middle - 1
          }
          return Position.make(found)
        }),
      epoch: readCommitted("Journal.epoch", Epochs.currentEpoch, [], Epochs.decodeCurrent),
      epochs: readCommitted("Journal.epochs", Epochs.allEpochs, [], Epochs.decodeAll),
      readResource: ({ resourceId, resourceType }, version, limit) =>
        readCommitted(
          "Journal.readResource",
          resourcePage,
          [resourceId, resourceType, version, limitOf(limit)],
          event.decode
        ),
      readTenant: (tenant, position, limit) =>
        readCommitted("Journal.readTenant", tenantPage, [tenant, position, limitOf(limit)], event.decode),
      verify: yield* makeVerify,
      rebuild: yield* makeRebuild
    }
  })
)

const meteredWithoutActivity = Rec.keys(eventTypes).filter((type) => isMetered(type) && activityTypeOf(type) === null)

/** Whether a row has a metered event: word for word the condition of the partial index of tenants' events. */
const isMeteredRow = ["activity_type IS NOT NULL", ...meteredWithoutActivity.map((type) => `type = '${type}'`)]
  .join(" OR ")

/** Databases have different meanings for a negative LIMIT, and none for an infinite one. */
const limitOf = (limit: number) => Math.min(Math.max(limit, 0), mostRows)

/** More rows than an array can hold. SQLite's driver passes larger numbers as floating-point numbers. */
const mostRows = 2 ** 31 - 1

/**
 * Verifies the projections, then the tables of SQL adapters. The database's own check runs meanwhile, and comes last.
 */
const makeVerify = Effect.gen(function*() {
  const { integrity, snapshot } = yield* Database
  const bookkeeping = yield* SqlBookkeeping.make
  const verification = yield* SqlVerification.make
  return Stream.unwrapScoped(Effect.gen(function*() {
    const connection = yield* snapshot
    const checking = yield* Effect.forkScoped(integrity)
    const damages = Effect.map(Fiber.join(checking), Arr.map(damagedDatabase))
    let last: Verification | undefined
    return Stream.concat(
      Stream.map(verification(connection, "Journal.verify"), (step) => last = step),
      Stream.concat(bookkeeping(connection, "Journal.verify"), Stream.fromEffect(damages)).pipe(
        Stream.filter(Arr.isNonEmptyReadonlyArray),
        Stream.map((differences): Verification => ({ ...last!, clocks: [], differences }))
      )
    )
  }))
})

const makeRebuild = Effect.gen(function*() {
  const { dialect, integrity, transactLong } = yield* Database
  const verification = yield* SqlVerification.make
  const makeRepair = yield* ProjectionRepair.make
  const operation = "Journal.rebuild"

  /** Fails if the file is damaged: a read through a damaged index may return anything. */
  const mustBeWhole = Effect.flatMap(
    integrity,
    ([damaged]) =>
      damaged === undefined ? Effect.void : new StorageError({
        reason: "corrupt",
        operation,
        cause: new Error(`the database file is damaged, and nothing was changed: ${damaged}`)
      })
  )

  const rebuild: typeof Journal.Service["rebuild"] = (onStep = () => Effect.void) =>
    transactLong(({ connection }) =>
      Effect.gen(function*() {
        const repair = makeRepair(connection)
        yield* run(connection, execute(dialect.appendLock))
        yield* connection.execute(dialect.deferForeignKeys, [], undefined)
        yield* Stream.runForEach(verification(connection, operation, repair), onStep)
        return repair.written()
      })
    ).pipe(
      Effect.catchTag(
        "SqlError",
        (error) =>
          Effect.fail(toStorageError(dialect, operation)(ProjectionRepair.explained(dialect, error, operation)))
      ),
      (rebuilt) => Effect.zipRight(mustBeWhole, rebuilt)
    )
  return rebuild
})
