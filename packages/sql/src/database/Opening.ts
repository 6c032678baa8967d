/** What opening an SQLite file and opening a PostgreSQL database share. `name` is what errors call the database. */
import { type Epoch, StorageError } from "@caravel/domain"
import * as Reactivity from "@effect/experimental/Reactivity"
import type { MigrationError } from "@effect/sql/Migrator"
import { TransactionConnection } from "@effect/sql/SqlClient"
import type { Connection } from "@effect/sql/SqlConnection"
import { SqlError } from "@effect/sql/SqlError"
import { Context, type Duration, Effect, type ParseResult, type Redacted } from "effect"
import * as Epochs from "../schema/Epochs.js"
import * as SecretCodec from "../schema/SecretCodec.js"
import type { Dialect } from "../statement/Dialect.js"
import type { Purpose } from "./Database.js"
import { toStorageError } from "./StorageErrors.js"

/** The options of every database. */
export interface Options {
  /**
   * Whether a database with an older schema is migrated; true by default. Otherwise opening it fails with reason
   * `older`, and changes nothing.
   */
  readonly migrate?: boolean | undefined
  /** How long a command that is sent again with its idempotency key returns its first outcome; 7 days by default. */
  readonly idempotencyKeysKept?: Duration.DurationInput | undefined
  /**
   * How much clocks may differ before the difference is logged, counted and reported by `Journal.verify`; 5 minutes by
   * default.
   */
  readonly clockTolerance?: Duration.DurationInput | undefined
  /**
   * Encrypts wallet URLs in the database. Keys of 32 bytes in base64 or hex: the first encrypts, each of them decrypts.
   * If you lose a key, the URLs that it encrypted cannot be recovered. Without keys, the default, they are stored in
   * clear.
   */
  readonly secretKeys?: ReadonlyArray<Redacted.Redacted> | undefined
}

/** The codec of secrets with the configured keys. Fails with reason `key` if one is invalid. */
export const secretsOf = (
  name: string,
  { secretKeys = [] }: Options
): Effect.Effect<SecretCodec.SecretCodec, StorageError> =>
  Effect.mapError(
    SecretCodec.make(secretKeys),
    (cause) => new StorageError({ reason: "key", operation: `opening ${name}`, cause })
  )

/** The error for a database that does not exist and may not be created. */
export const missing = (name: string, why: string): StorageError =>
  new StorageError({ reason: "missing", operation: `opening ${name}`, cause: new Error(why) })

/**
 * Reads the current epoch. The target of a copy may be unfinished, so none is read there. Fails if any other database is
 * an unfinished copy.
 */
export const epochOf = (
  reader: Connection,
  purpose: Purpose | undefined
): Effect.Effect<Epoch | undefined, SqlError | ParseResult.ParseError> =>
  Effect.gen(function*() {
    if (purpose === "target") return undefined
    return yield* Epochs.decodeCurrent(yield* reader.executeValues(Epochs.currentEpoch, []))
  })

/** Converts the errors of opening a database. */
export const withStorageErrors = (dialect: Dialect, name: string) =>
<A, R>(
  effect: Effect.Effect<A, SqlError | MigrationError | ParseResult.ParseError | StorageError, R>
): Effect.Effect<A, StorageError, R> => {
  const opening = toStorageError(dialect, `opening ${name}`)
  const migrating = `migrating ${name}`
  return Effect.catchTags(effect, {
    ParseError: (error) => Effect.fail(opening(error)),
    SqlError: (error) => Effect.fail(opening(error)),
    MigrationError: ({ cause, message }) =>
      Effect.fail(
        cause instanceof SqlError
          ? toStorageError(dialect, migrating)(cause)
          : new StorageError({ reason: "other", operation: migrating, cause: new Error(message) })
      )
  })
}

/** Hides the caller's transaction from an effect that opens a database: the transaction belongs to another one. */
export const apart = <A, E, R>(
  effect: Effect.Effect<A, E, R>
): Effect.Effect<A, E, Exclude<R, Reactivity.Reactivity>> =>
  Effect.mapInputContext(
    Effect.provide(effect, Reactivity.layer),
    (context: Context.Context<Exclude<R, Reactivity.Reactivity>>) =>
      Context.omit(TransactionConnection)(context) as typeof context
  )
