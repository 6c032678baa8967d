/**
 * Consumers in the tables `caravel_consumer`, `caravel_lease` and `caravel_parked`.
 *
 * To avoid deadlocks, every transaction locks in one order: the lease, the consumer, parked activities (by position),
 * then the journal's lock. A transaction that holds a consumer's row therefore never waits for a lease. Registering a
 * consumer inserts missing rows, which does not wait for the process that runs the consumer, and changes the filter
 * last.
 */
import type { StorageError } from "@caravel/domain"
import { ConsumerStore } from "@caravel/pubsub"
import { type SqlClient, TransactionConnection } from "@effect/sql/SqlClient"
import { Context, Effect, Layer } from "effect"
import { Database } from "../database/Database.js"
import { toStorageError } from "../database/StorageErrors.js"
import type { Dialect } from "../statement/Dialect.js"
import * as ConsumerWrites from "./ConsumerWrites.js"
import * as SqlCheckpoints from "./SqlCheckpoints.js"
import * as SqlLeases from "./SqlLeases.js"
import * as SqlParking from "./SqlParking.js"

/** Consumers are stored in the database of their activities, so that a transaction can span both. */
export const layer: Layer.Layer<ConsumerStore.ConsumerStore, never, Database> = Layer.effect(
  ConsumerStore.ConsumerStore,
  Effect.map(Database, (database) => {
    const writes = ConsumerWrites.make(database)
    return {
      checkpoints: SqlCheckpoints.make(database, writes),
      leases: SqlLeases.make(database, writes),
      parking: SqlParking.make(database, writes),
      transaction: transaction(database.withLiveTransaction, database.dialect),
      outside
    }
  })
)

/** A failure of the effect in a transaction, as opposed to a failure of the transaction itself. */
class Failed<E> {
  readonly error: E
  constructor(error: E) {
    this.error = error
  }
}

const transaction =
  (withTransaction: SqlClient["withTransaction"], dialect: Dialect) =>
  <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E | StorageError, R> =>
    withTransaction(Effect.mapError(effect, (error) => new Failed(error))).pipe(
      Effect.mapError((error) =>
        error instanceof Failed ? error.error : toStorageError(dialect, "ConsumerStore.transaction")(error)
      )
    )

const outside = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.mapInputContext(
    effect,
    (context: Context.Context<R>) =>
      Context.omit(TransactionConnection)(context as Context.Context<R | TransactionConnection>) as Context.Context<R>
  )
