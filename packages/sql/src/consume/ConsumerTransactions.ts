import type { StorageError } from "@caravel/domain"
import { type SqlClient, TransactionConnection } from "@effect/sql/SqlClient"
import { Context, Effect } from "effect"
import { toStorageError } from "../database/StorageErrors.js"
import type { Dialect } from "../statement/Dialect.js"

/** A failure of what runs in a transaction, which is not the transaction's own. */
class Failed<E> {
  readonly error: E
  constructor(error: E) {
    this.error = error
  }
}

/** Runs effects in transactions whose own failures are storage's. */
export const transaction =
  (withTransaction: SqlClient["withTransaction"], dialect: Dialect, operation: string) =>
  <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E | StorageError, R> =>
    withTransaction(Effect.mapError(effect, (error) => new Failed(error))).pipe(
      Effect.mapError((error) => error instanceof Failed ? error.error : toStorageError(dialect, operation)(error))
    )

/** Runs an effect as if the fiber were in no transaction. */
export const outside = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.mapInputContext(
    effect,
    (context: Context.Context<R>) =>
      Context.omit(TransactionConnection)(context as Context.Context<R | TransactionConnection>) as Context.Context<R>
  )
