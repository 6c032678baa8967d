/** Writes of consumers: in the caller's transaction or in one of their own, and fenced by a lease if there is one. */
import type { StorageError } from "@caravel/domain"
import { currentInstant } from "@caravel/domain/adapter"
import { ConsumerStore } from "@caravel/pubsub"
import { SqlError } from "@effect/sql/SqlError"
import { Effect } from "effect"
import type { Database } from "../database/Database.js"
import { toStorageError } from "../database/StorageErrors.js"
import type { AnsweringConnection } from "../statement/StatementScript.js"

const { LeaseLost } = ConsumerStore

const renew = `UPDATE caravel_lease SET heartbeat = heartbeat + 1
  WHERE consumer = ? AND task = ? AND fence = ? AND owner IS NOT NULL RETURNING fence`

/** Writes to the tables of consumers. */
export interface ConsumerWrites {
  /** Writes in the caller's transaction if there is one, and otherwise in a transaction of its own. */
  readonly write: <A, E>(
    operation: string,
    use: (connection: AnsweringConnection) => Effect.Effect<A, E | SqlError>
  ) => Effect.Effect<A, Exclude<E, SqlError> | StorageError>
  /** Renews a lease and writes, or fails with `LeaseLost` and writes nothing. `now` is in milliseconds. */
  readonly fenced: <A>(
    operation: string,
    lease: ConsumerStore.Lease,
    use: (connection: AnsweringConnection, now: number) => Effect.Effect<A, SqlError | ConsumerStore.LeaseLost>
  ) => ConsumerStore.Fenced<A>
}

/** Runs a statement and ignores its rows. */
export const run = (connection: AnsweringConnection, statement: string, params: ReadonlyArray<unknown>) =>
  Effect.asVoid(connection.executeValues(statement, params))

/** The writes to a database's tables of consumers. */
export const make = ({ currentTransaction, dialect, transact }: typeof Database.Service): ConsumerWrites => {
  const write: ConsumerWrites["write"] = <A, E>(
    operation: string,
    use: (connection: AnsweringConnection) => Effect.Effect<A, E | SqlError>
  ) =>
    Effect.flatMap(
      currentTransaction,
      (transaction) =>
        transaction === undefined ? transact(({ connection }) => use(connection)) : use(transaction.connection)
    ).pipe(
      Effect.catchIf(
        (error) => error instanceof SqlError,
        (error) => Effect.fail(toStorageError(dialect, operation)(error))
      )
    )

  // All writes under a lease wait for the row of the lease. They queue here in order, without occupying connections.
  const queues = new Map<string, Effect.Semaphore>()
  const queued = <A, E, R>(name: string, effect: Effect.Effect<A, E, R>) => {
    const queue = queues.get(name) ?? Effect.unsafeMakeSemaphore(1)
    queues.set(name, queue)
    return Effect.flatMap(
      currentTransaction,
      (transaction) => transaction === undefined ? queue.withPermits(1)(effect) : effect
    )
  }

  return {
    write,
    fenced: (operation, { consumer, fence, task }, use) =>
      queued(
        consumer,
        write(operation, (connection) =>
          Effect.flatMap(connection.executeValues(renew, [consumer, task, fence]), (renewed) =>
            renewed.length === 0
              ? new LeaseLost({ consumer, task })
              : Effect.flatMap(currentInstant, ({ epochMillis }) =>
                use(connection, epochMillis))))
      )
  }
}
