import type { StorageError } from "@caravel/domain"
import { defaultClockTolerance, defaultIdempotencyKeysKept, withSpan } from "@caravel/domain/adapter"
import type { SqlClient } from "@effect/sql/SqlClient"
import type { Connection } from "@effect/sql/SqlConnection"
import { SqlError } from "@effect/sql/SqlError"
import { Context, Duration, Effect, type Scope } from "effect"
import type { SecretCodec } from "../schema/SecretCodec.js"
import * as Tables from "../schema/Tables.js"
import type { Dialect } from "../statement/Dialect.js"
import type { Statement } from "../statement/Table.js"
import { internalConnection } from "./OpenTransaction.js"
import { toStorageError } from "./StorageErrors.js"
import type { TransactionalClient } from "./TransactionalClient.js"

/** An open, migrated database: how it is read and written. */
export class Database extends Context.Tag("@caravel/sql/Database")<Database, {
  readonly sql: SqlClient
  readonly dialect: Dialect
  /** Opened by each commit of this process. The fiber that notifies other processes closes it. */
  readonly commitSignal: Effect.Latch
  readonly tables: ReturnType<typeof Tables.make>
  readonly idempotencyKeysKept: Duration.Duration
  /**
   * Statements that bound a caller's transaction from its first command on, so that others do not wait for it forever.
   */
  readonly holderBounds: ReadonlyArray<Statement>
  /** How much clocks may differ before the difference is reported. */
  readonly clockTolerance: Duration.Duration
  /** The transaction of this database that the fiber is in, if any. */
  readonly currentTransaction: TransactionalClient["currentTransaction"]
  readonly transactionOf: TransactionalClient["transactionOf"]
  readonly transact: TransactionalClient["transact"]
  readonly transactLong: TransactionalClient["transactLong"]
  readonly withLiveTransaction: TransactionalClient["withLiveTransaction"]
  readonly transactScript: TransactionalClient["transactScript"]
  /** Fails once the open files are no longer the ones that other processes open by the same name. */
  readonly intact: Effect.Effect<void, StorageError>
  /** Makes every later read and write fail with this error. */
  readonly fail: (error: StorageError) => Effect.Effect<void>
  /** Reads committed state, whichever transaction the caller is in. */
  readonly readCommitted: Read
  /** A connection that reads a snapshot: the state of the database at its first read. */
  readonly snapshot: Effect.Effect<Connection, StorageError, Scope.Scope>
  /** Reads in the caller's transaction, if it is in one of this database, and committed state otherwise. */
  readonly readInTransaction: Read
  /** The damage that the database's own integrity check finds, on a separate thread; none if there is no such check. */
  readonly integrity: Effect.Effect<ReadonlyArray<string>, StorageError>
  /** Overwrites the remains of deleted secrets in the database's files. */
  readonly purge: Effect.Effect<void, StorageError>
}>() {}

/** Runs a statement and decodes its rows. */
type Read = <A, E extends { readonly _tag: string; readonly message: string }>(
  operation: string,
  statement: string,
  params: ReadonlyArray<unknown>,
  decode: (rows: ReadonlyArray<ReadonlyArray<unknown>>) => Effect.Effect<A, E>
) => Effect.Effect<A, StorageError>

/** What a database is opened for, if not for normal use. */
export type Purpose = "source" | "target"

const notChecked = Effect.succeed([])

/** The service over a client that writes and a connection that reads. */
export const make = (options: {
  readonly client: TransactionalClient
  readonly reader: Connection
  readonly snapshot: Effect.Effect<Connection, SqlError, Scope.Scope>
  readonly dialect: Dialect
  readonly secrets: SecretCodec
  readonly purge: Effect.Effect<void, StorageError>
  readonly intact?: Effect.Effect<void, SqlError>
  readonly integrity?: Effect.Effect<ReadonlyArray<string>, StorageError>
  readonly idempotencyKeysKept?: Duration.DurationInput | undefined
  readonly holderBounds?: ReadonlyArray<Statement>
  readonly clockTolerance?: Duration.DurationInput | undefined
}): typeof Database.Service => {
  const {
    client,
    clockTolerance = defaultClockTolerance,
    dialect,
    holderBounds = [],
    idempotencyKeysKept = defaultIdempotencyKeysKept,
    integrity = notChecked,
    purge,
    reader,
    secrets,
    snapshot
  } = options
  const intact = Effect.mapError(options.intact ?? Effect.void, toStorageError(dialect, "watching the files"))
  const readFrom = (connection: Connection): Read => (operation, statement, params, decode) =>
    connection.executeValues(statement, params).pipe(
      Effect.flatMap(decode),
      Effect.mapError(toStorageError(dialect, operation)),
      withSpan(`sql.${operation}`, { kind: "client", attributes: dialect.spanAttributes })
    )
  let failure: StorageError | undefined
  const readCommitted = readFrom(internalConnection(dialect, reader))
  const unlessFailed = <A, R>(effect: () => Effect.Effect<A, StorageError, R>) =>
    Effect.suspend(() => failure === undefined ? effect() : Effect.fail(failure))
  const read: Read = (...parameters) => unlessFailed(() => readCommitted(...parameters))
  return {
    ...client,
    fail: (error) =>
      Effect.suspend(() => {
        failure = error
        return client.fail(new SqlError({ message: error.message, cause: error }))
      }),
    dialect,
    commitSignal: Effect.unsafeMakeLatch(),
    tables: Tables.make(dialect, { secrets }),
    idempotencyKeysKept: Duration.decode(idempotencyKeysKept),
    holderBounds,
    clockTolerance: Duration.decode(clockTolerance),
    readCommitted: read,
    intact,
    // These operations open the files by name.
    purge: unlessFailed(() => Effect.zipRight(intact, purge)),
    integrity: unlessFailed(() => Effect.zipRight(intact, integrity)),
    snapshot: unlessFailed(() =>
      Effect.mapBoth(snapshot, {
        onFailure: toStorageError(dialect, "snapshot"),
        onSuccess: (connection) => internalConnection(dialect, connection)
      })
    ),
    readInTransaction: (...parameters) =>
      Effect.withFiberRuntime((fiber) => {
        const transaction = client.transactionOf(fiber)
        return transaction === undefined || transaction.hasEnded
          ? read(...parameters)
          : readFrom(transaction.connection)(...parameters)
      })
  }
}
