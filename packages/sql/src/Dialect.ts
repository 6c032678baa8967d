/** What differs between databases, as values that are picked once. */
import type { StorageErrorReason } from "@caravel/domain"
import type { Schema } from "effect"

/**
 * Statements take their rows as one parameter of JSON, so that their number does not grow with the rows.
 *
 * @since 0.1.0
 * @category models
 */
export interface Dialect {
  /** Begins a transaction that will write. */
  readonly begin: string
  /** Why the driver's error happened, by its code. */
  readonly reasonOf: (cause: unknown) => StorageErrorReason
  /** Whether the driver's error may have ended the transaction that it happened in. */
  readonly endsTransaction: (cause: unknown) => boolean
  /** How a column holds a boolean. */
  readonly boolean: Schema.Schema<boolean, any>
  /** A subquery for the elements of a JSON array of strings. */
  readonly elements: string
  /** A query for these fields of the objects in a JSON array, in its order. */
  readonly rows: (fields: ReadonlyArray<string>) => string
}
