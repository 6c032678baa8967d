/** Classifies PostgreSQL's errors: the server's SQLSTATEs and the driver's own errors. */
import type { StorageErrorReason } from "@caravel/domain"
import { Data } from "effect"
import Pg from "pg"

/** The classification of an error. */
export interface Kind {
  readonly reason: StorageErrorReason
  /** Whether the error is transient: the same transaction or statement may succeed if it is run again. */
  readonly passes: boolean
  /**
   * The state of the connection. `lost`: it can no longer be used. `stale`: the error may be specific to this
   * connection, so it is closed after its transaction.
   */
  readonly connection: "usable" | "stale" | "lost"
  /** What to do, if the reason alone does not say it. */
  readonly advice?: string
}

const kind = (reason: StorageErrorReason, options: Partial<Kind> = {}): Kind => ({
  reason,
  passes: false,
  connection: "usable",
  ...options
})

const lost = kind("unavailable", { passes: true, connection: "lost" })
const busy = kind("busy", { passes: true, advice: "another transaction holds a lock that it needs; try again" })
const stale = kind("other", { passes: true, connection: "stale" })
const noRight = kind("readonly", { advice: "the role lacks a privilege; grant it as docs/postgresql.md says" })
const tooMany = kind("unavailable", {
  passes: true,
  connection: "lost",
  advice: "the server accepts no more connections; close some, or raise max_connections, and try again"
})
const other = kind("other")

/**
 * Kinds by class, the first two characters of an SQLSTATE. Any other class is `other`: the statement or the data is
 * wrong.
 */
const classes: { readonly [sqlClass: string]: Kind } = {
  // connection_exception; poolers also report it if they have no server connection.
  "08": lost,
  // transaction_rollback: a deadlock, or a conflict of serializable transactions.
  "40": busy,
  // insufficient_resources
  "53": kind("busy", { passes: true, advice: "the server lacks memory or another resource; try again" }),
  // operator_intervention: the server stops, starts, or has ended the connection.
  "57": lost
}

/** Exceptions to the classes, by the whole SQLSTATE. */
const codes: { readonly [code: string]: Kind } = {
  // feature_not_supported; after a change of the schema, a prepared statement fails with it until it is prepared again.
  "0A000": stale,
  // read_only_sql_transaction: a standby, or a primary that has become one.
  "25006": kind("readonly", {
    passes: true,
    connection: "stale",
    advice: "the server is read-only, as a standby is; try again when it is the primary, or connect to the primary"
  }),
  // idle_in_transaction_session_timeout, transaction_timeout
  "25P03": lost,
  "25P04": lost,
  // invalid_sql_statement_name, duplicate_prepared_statement: a pooler has switched to another server connection.
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
  // data_corrupted, index_corrupted. XX000 is not listed: it is any internal error, and poolers report all errors with
  // it.
  XX001: kind("corrupt", { advice: "the server found damaged data; see its log, and restore a backup" }),
  XX002: kind("corrupt", { advice: "the server found a damaged index; see its log, and rebuild it with REINDEX" }),
  // Caravel's own, raised by the function `caravel_in_epoch`.
  ZEPOC: kind("replaced")
}

/** The server refuses a connection permanently: because of the client's request, role, password or database. */
const refusals = /^(0A|22|28|3D|42)/

/**
 * The connection is lost, or could not be made. Only the message and the code of the driver's error are kept: the error
 * refers to the client, which has the password.
 */
export class ConnectionLost extends Data.TaggedError("ConnectionLost")<{
  readonly message: string
  /** The error code of the system or the server. */
  readonly code?: string | undefined
  /** The time since which the server had not answered, by `performance.now()`. */
  readonly since?: number | undefined
}> {}

/** The driver cannot send a statement, because it cannot encode one of its values. */
export class NotSent extends Data.TaggedError("NotSent")<{ readonly message: string }> {}

/** All connections of a pool have been in use for too long. */
export class PoolExhausted extends Data.TaggedError("PoolExhausted")<{ readonly connections: number }> {
  override get message() {
    return `all ${this.connections} connections of the pool are in use`
  }
}

/** The causes of failed statements and connections. */
export type DriverError = Pg.DatabaseError | ConnectionLost | NotSent | PoolExhausted

const isDriverError = (cause: unknown): cause is DriverError =>
  cause instanceof Pg.DatabaseError || cause instanceof ConnectionLost || cause instanceof NotSent ||
  cause instanceof PoolExhausted

/** The code of an error: the server's SQLSTATE, or the system's error code. */
export const codeOf = (cause: unknown): string | undefined => {
  const code = (cause as { readonly code?: unknown } | null | undefined)?.code
  return typeof code === "string" ? code : undefined
}

const messageOf = (cause: unknown): string => {
  const message = cause instanceof Error ? cause.message : String(cause)
  return message || (codeOf(cause) ?? "the connection failed")
}

/**
 * Converts the error of a statement. An error that the server did not report is the connection's: the driver reports
 * with plain errors that the socket failed, ended, or received data that it does not understand.
 */
export const errorOf = (cause: unknown): DriverError =>
  isDriverError(cause)
    ? cause
    : cause instanceof TypeError || cause instanceof RangeError || cause instanceof SyntaxError
    ? new NotSent({ message: messageOf(cause) })
    : new ConnectionLost({ message: messageOf(cause), code: codeOf(cause) })

/**
 * Converts the error of a connection attempt. The server, or a pooler, may report any SQLSTATE. Another attempt may
 * succeed, unless the SQLSTATE says that this role, database or setting is refused.
 */
export const connectErrorOf = (cause: unknown): DriverError =>
  cause instanceof PoolExhausted || cause instanceof Pg.DatabaseError && refusals.test(cause.code ?? "")
    ? cause
    : new ConnectionLost({ message: messageOf(cause), code: codeOf(cause) })

const exhausted = kind("busy", {
  passes: true,
  advice: "keep transactions short, or raise maxConnections, and try again"
})

/** Classifies an error. */
export const kindOf = (cause: unknown): Kind => {
  if (cause instanceof PoolExhausted) return exhausted
  if (cause instanceof ConnectionLost) return cause.code === "53300" ? tooMany : lost
  if (!(cause instanceof Pg.DatabaseError)) return other
  const { code = "", severity } = cause
  const known = codes[code] ?? classes[code.slice(0, 2)] ?? other
  // FATAL and PANIC end the connection, whatever the code is: poolers use XX000 or 58000.
  return known === other && (severity === "FATAL" || severity === "PANIC") && !refusals.test(code) ? lost : known
}

/** Whether the connection can no longer be used. */
export const isLost = (cause: unknown): boolean => kindOf(cause).connection === "lost"
