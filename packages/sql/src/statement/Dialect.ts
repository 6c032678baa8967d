/** The differences between databases, as values that are chosen once. */
import type { StorageErrorReason } from "@caravel/domain"
import type { Schema } from "effect"
import type { AnsweringConnection } from "./StatementScript.js"

/** What differs between SQLite and PostgreSQL. */
export interface Dialect {
  /** The attributes of spans of operations, as OpenTelemetry names them. */
  readonly spanAttributes: { readonly "db.system.name": string }
  /** Wraps a connection so that it accepts `?` placeholders, which Caravel's own statements use. */
  readonly withNativePlaceholders: <C extends AnsweringConnection>(connection: C) => C
  /**
   * A statement after which other transactions that append wait until this one ends; undefined if BEGIN has that
   * effect.
   */
  readonly appendLock: string | undefined
  /**
   * A statement after which all other transactions that write wait until this one ends, and then check the epoch;
   * undefined if BEGIN has that effect.
   */
  readonly epochLock: string | undefined
  /** A statement that defers foreign key checks to COMMIT, so that rows can be written in any order. */
  readonly deferForeignKeys: string
  /** The reason for a driver's error, by its code. */
  readonly reasonOf: (cause: unknown) => StorageErrorReason
  /** What to do about a driver's error, if the reason alone does not say it. */
  readonly adviceOf: (cause: unknown) => string | undefined
  /** Whether a driver's error may have ended the transaction in which it occurred. */
  readonly endsTransaction: (cause: unknown) => boolean
  /** Whether a driver's error says that rows of another table refer to the rows to be deleted. */
  readonly isReferenced: (cause: unknown) => boolean
  /** Whether the same transaction may succeed when it is run again. */
  readonly isTransient: (cause: unknown) => boolean
  /**
   * Whether each row is written by its own statement. SQLite, which has no round trips, inserts 64 events in 280 µs
   * that way and in 400 µs with one statement. A server is faster with few statements.
   */
  readonly writesEachRow: boolean
  /** The schema of a boolean column. */
  readonly boolean: Schema.Schema<boolean, any>
  /** An expression that returns a random text for each row. */
  readonly randomText: string
  /** Selects a value that is different in every database. */
  readonly identity: string
  /** Selects the last position that the journal has assigned. */
  readonly lastPosition: string
  /**
   * Selects that position, its event's instant, and the latest instant up to it, in milliseconds; no row if the journal
   * is empty.
   */
  readonly lastEvent: string
  /** Selects the server's time in milliseconds; undefined if the database uses this process's clock. */
  readonly serverTime: string | undefined
}
