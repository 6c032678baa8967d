/** Why PostgreSQL failed: the server's SQLSTATEs and the driver's own errors, each with what follows from it. */
import type { StorageErrorReason } from "@caravel/domain"
import { Data } from "effect"
import Pg from "pg"

/** What follows from an error. */
export interface Kind {
  readonly reason: StorageErrorReason
  /** Whether it passes: the same transaction, or statement, may succeed if it is run again. */
  readonly passes: boolean
  /**
   * What has become of the connection. `lost`: nothing can be done with it any more. `stale`: the error is about this
   * connection, and another one may not have it, so it is given up after its transaction.
   */
  readonly connection: "usable" | "stale" | "lost"
  /** What to do, where the reason alone does not say it. */
  readonly advice?: string
}

const kind = (reason: StorageErrorReason, options: Partial<Kind> = {}): Kind => ({
  reason,
  passes: false,
  connection: "usable",
  ...options
})

const lost = kind("unavailable", { passes: true, connection: "lost" })
const busy = kind("busy", { passes: true, advice: "another transaction holds what it needs; try again" })
const stale = kind("other", { passes: true, connection: "stale" })
const noRight = kind("readonly", { advice: "the role lacks a right; grant it, as docs/postgresql.md says" })
const tooMany = kind("unavailable", {
  passes: true,
  connection: "lost",
  advice: "the server takes no more connections; close some, or raise max_connections, and try again"
})
const other = kind("other")

/** By class, the first two characters of an SQLSTATE. What is not here is `other`: the statement or the data is wrong. */
const classes: { readonly [sqlClass: string]: Kind } = {
  // connection_exception; poolers report with it that they have no connection.
  "08": lost,
  // transaction_rollback: a deadlock, or a conflict of serializable transactions.
  "40": busy,
  // insufficient_resources
  "53": kind("busy", { passes: true, advice: "the server is short of memory or the like; try again" }),
  // operator_intervention: the server stops, starts, or has ended the connection.
  "57": lost
}

/** The exceptions, by the whole SQLSTATE. */
const codes: { readonly [code: string]: Kind } = {
  // feature_not_supported; after a change of the schema, a prepared statement fails by it until it is prepared again.
  "0A000": stale,
  // read_only_sql_transaction: a standby, or a primary that has become one.
  "25006": kind("readonly", {
    passes: true,
    connection: "stale",
    advice: "the server only takes reads, as a standby does; try again when it is the primary, or connect to that"
  }),
  // idle_in_transaction_session_timeout, transaction_timeout
  "25P03": lost,
  "25P04": lost,
  // invalid_sql_statement_name, duplicate_prepared_statement: a pooler has put another server's connection behind this one.
  "26000": stale,
  "42P05": stale,
  // transaction_integrity_constraint_violation
  "40002": other,
  // insufficient_privilege
  "42501": noRight,
  // disk_full, too_many_connections, configuration_limit_exceeded
  "53100": kind("full", { advice: "the server's disk is full; make room and try again" }),
  "53300": tooMany,
  "53400": other,
  // object_in_use, lock_not_available
  "55006": busy,
  "55P03": busy,
  // query_canceled: by statement_timeout, or by pg_cancel_backend.
  "57014": kind("busy", {
    passes: true,
    advice: "the server canceled the statement; try again, or raise the role's statement_timeout"
  }),
  // data_corrupted, index_corrupted. XX000 is any internal error, and what poolers report everything by.
  XX001: kind("corrupt", { advice: "the server found damaged data; see its log, and restore a backup" }),
  XX002: kind("corrupt", { advice: "the server found a damaged index; see its log, and rebuild it with REINDEX" }),
  // Caravel's own, of `in_epoch`.
  ZEPOC: kind("replaced")
}

/** The server refuses a connection for good: by what the client asked for, its role, its password, or its database. */
const refusals = /^(0A|22|28|3D|42)/

/**
 * The connection is gone, or was never there. Of the driver's error only the message and the code are kept: with it would
 * come the client, and with that the password.
 */
export class ConnectionLost extends Data.TaggedError("ConnectionLost")<{
  readonly message: string
  /** The system's or the server's. */
  readonly code?: string | undefined
  /** Since when the server had not answered, by `performance.now()`. */
  readonly since?: number | undefined
}> {}

/** The driver cannot send what it was given: a value that it has no way to encode. */
export class NotSent extends Data.TaggedError("NotSent")<{ readonly message: string }> {}

/** All connections of a pool have been in use for too long. */
export class PoolExhausted extends Data.TaggedError("PoolExhausted")<{ readonly connections: number }> {
  override get message() {
    return `all ${this.connections} connections of the pool are in use`
  }
}

/** What is kept of an error of the driver's. */
export type DriverError = Pg.DatabaseError | ConnectionLost | NotSent | PoolExhausted

const isDriverError = (cause: unknown): cause is DriverError =>
  cause instanceof Pg.DatabaseError || cause instanceof ConnectionLost || cause instanceof NotSent ||
  cause instanceof PoolExhausted

/** The code of an error: the server's SQLSTATE, or the system's. */
export const codeOf = (cause: unknown): string | undefined => {
  const code = (cause as { readonly code?: unknown } | null | undefined)?.code
  return typeof code === "string" ? code : undefined
}

const messageOf = (cause: unknown): string => {
  const message = cause instanceof Error ? cause.message : String(cause)
  return message || (codeOf(cause) ?? "the connection failed")
}

/**
 * An error that a statement failed with. Whatever the server did not say is the connection's: the driver reports by plain
 * errors that the socket failed, ended, or brought what it does not understand.
 */
export const errorOf = (cause: unknown): DriverError =>
  isDriverError(cause)
    ? cause
    : cause instanceof TypeError || cause instanceof RangeError || cause instanceof SyntaxError
    ? new NotSent({ message: messageOf(cause) })
    : new ConnectionLost({ message: messageOf(cause), code: codeOf(cause) })

/**
 * An error that no connection was made by. The server, or a pooler before it, may say why by any SQLSTATE; unless it is one that
 * says no to this role, database or setting, another attempt may succeed.
 */
export const connectErrorOf = (cause: unknown): DriverError =>
  cause instanceof PoolExhausted || cause instanceof Pg.DatabaseError && refusals.test(cause.code ?? "")
    ? cause
    : new ConnectionLost({ message: messageOf(cause), code: codeOf(cause) })

const exhausted = kind("busy", {
  passes: true,
  advice: "keep transactions short, or raise maxConnections, and try again"
})

/** What follows from an error. */
export const kindOf = (cause: unknown): Kind => {
  if (cause instanceof PoolExhausted) return exhausted
  if (cause instanceof ConnectionLost) return cause.code === "53300" ? tooMany : lost
  if (!(cause instanceof Pg.DatabaseError)) return other
  const { code = "", severity } = cause
  const known = codes[code] ?? classes[code.slice(0, 2)] ?? other
  // The last word on a connection, by whichever code: poolers end theirs by XX000 or 58000.
  return known === other && (severity === "FATAL" || severity === "PANIC") && !refusals.test(code) ? lost : known
}

/** Whether nothing can be done with the connection any more. */
export const isLost = (cause: unknown): boolean => kindOf(cause).connection === "lost"
