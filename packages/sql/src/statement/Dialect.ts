/** What differs between databases, as values that are picked once. */
import type { StorageErrorReason } from "@caravel/domain"
import type { Schema } from "effect"
import type { AnsweringConnection } from "./StatementScript.js"

/** A database's own ways. */
export interface Dialect {
  /** Caravel's own statements have `?` for each parameter; this connection takes them so. */
  readonly numbered: <C extends AnsweringConnection>(connection: C) => C
  /** Has everybody else who appends wait until this transaction ends; none where its beginning did. */
  readonly lock: string | undefined
  /** The same of everybody else who writes, and has them find out then which epoch it is; none where its beginning did. */
  readonly lockEpoch: string | undefined
  /** Has the transaction check foreign keys at its commit, so that rows can be written in any order. */
  readonly deferForeignKeys: string
  /** Why the driver's error happened, by its code. */
  readonly reasonOf: (cause: unknown) => StorageErrorReason
  /** What to do about the driver's error, where the reason alone does not say it. */
  readonly adviceOf: (cause: unknown) => string | undefined
  /** Whether the driver's error may have ended the transaction that it happened in. */
  readonly endsTransaction: (cause: unknown) => boolean
  /** Whether the driver's error says that rows of another table refer to what was to be deleted. */
  readonly isReferenced: (cause: unknown) => boolean
  /** Whether the same transaction may succeed, if it is run again. */
  readonly isTransient: (cause: unknown) => boolean
  /**
   * Whether each row is written by a statement of its own: SQLite, which has no way to go, inserts 64 events in 280 µs so, and in
   * 400 µs by one statement. A server would rather have few.
   */
  readonly writesEachRow: boolean
  /** How a column holds a boolean. */
  readonly boolean: Schema.Schema<boolean, any>
  /** An expression: text that is random for each row. */
  readonly randomText: string
  /** Selects what no other database has. */
  readonly identity: string
  /** Selects the last position that the journal has given. */
  readonly lastPosition: string
  /** Selects that position with its event's instant and the latest of all up to it, in milliseconds; no row if none has been given. */
  readonly lastEvent: string
  /** Selects the server's time in milliseconds, where it has a clock that is not this process's. */
  readonly serverTime: string | undefined
}
