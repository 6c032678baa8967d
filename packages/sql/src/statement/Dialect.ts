/** The differences between databases, as values that are chosen once. */
import type { StorageErrorReason } from "@caravel/domain"
import type { Schema } from "effect"
import type { AnsweringConnection } from "./StatementScript.js"
import type { Statement } from "./Table.js"

/** What differs between SQLite and PostgreSQL. */
export interface Dialect {
  /** The attributes of spans of operations, as OpenTelemetry names them. */
  readonly spanAttributes: { readonly "db.system.name": string }
  /** Wraps a connection so that it accepts `?` placeholders, which Caravel's own statements use. */
  readonly withNativePlaceholders: <C extends AnsweringConnection>(connection: C) => C
  /** Whether the database is a server, so that each answer takes a round trip. */
  readonly isServer: boolean
  /**
   * Statements after which other transactions that append wait until this one ends; none if BEGIN has that effect.
   */
  readonly appendLock: ReadonlyArray<Statement>
  /**
   * Statements after which all other transactions that write wait until this one ends, and then check the epoch; none
   * if BEGIN has that effect.
   */
  readonly epochLock: ReadonlyArray<Statement>
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
   * Selects that `position`, its event's instant `created_at`, and the latest instant up to it `latest_at`, in
   * milliseconds; no row if the journal is empty.
   */
  readonly lastEvent: string
  /** Selects the server's time in milliseconds; undefined if the database uses this process's clock. */
  readonly serverTime: string | undefined
}
