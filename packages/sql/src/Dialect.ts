/** What differs between databases, as values that are picked once. */
import type { StorageErrorReason } from "@caravel/domain"
import type { Schema } from "effect"

/**
 * A database's own ways.
 *
 * @since 0.1.0
 * @category models
 */
export interface Dialect {
  /** Begins a transaction that will write. */
  readonly begin: string
  /** Has the transaction check foreign keys at its commit, so that rows can be written in any order. */
  readonly deferForeignKeys: string
  /** Why the driver's error happened, by its code. */
  readonly reasonOf: (cause: unknown) => StorageErrorReason
  /** Whether the driver's error may have ended the transaction that it happened in. */
  readonly endsTransaction: (cause: unknown) => boolean
  /** How a column holds a boolean. */
  readonly boolean: Schema.Schema<boolean, any>
  /** Selects the last position that the journal has given. */
  readonly lastPosition: string
  /** What an insert of events says at its end, so that its result tells their positions. */
  readonly returning: string
  /** The positions of so many events, in the order they were inserted in, from the driver's result of the insert. */
  readonly positionsOf: (result: unknown, count: number) => ReadonlyArray<number>
}
