import type { StorageErrorReason } from "@caravel/domain"
import { Data, Schema } from "effect"
import Pg from "pg"
import type { Dialect } from "./Dialect.js"
import type { AnsweringConnection } from "./Program.js"
import type { Statement } from "./Table.js"

/** By SQLSTATE, or its first two characters: its class. */
const reasons: ReadonlyArray<readonly [code: string, reason: StorageErrorReason]> = [
  // What another transaction holds: lock_not_available, and serialization_failure and deadlock_detected.
  ["55P03", "busy"],
  ["40", "busy"],
  // Too many connections, connections that fail, a server that stops or starts.
  ["53300", "unavailable"],
  ["08", "unavailable"],
  ["57P0", "unavailable"],
  ["25P03", "unavailable"],
  ["53", "full"],
  ["XX", "corrupt"],
  ["25006", "readonly"],
  ["42501", "readonly"],
  // Caravel's own, of `in_epoch`.
  ["ZEPOC", "replaced"]
]

/** What the server says of an error. */
const codeOf = (cause: unknown) => cause instanceof Pg.DatabaseError && cause.code !== undefined ? cause.code : ""

/**
 * The connection is gone, or was never there, as the driver sees it. Of its error only the message is kept: with it would come
 * the client, and with that the password.
 *
 * @since 0.1.0
 * @category errors
 */
export class ConnectionLost extends Data.TaggedError("ConnectionLost")<{ readonly message: string }> {}

/**
 * An error of the driver's: the server's own, or else the connection is lost.
 *
 * @since 0.1.0
 * @category errors
 */
export const errorOf = (cause: Error & { readonly code?: string }): Pg.DatabaseError | ConnectionLost =>
  cause instanceof Pg.DatabaseError ? cause : new ConnectionLost({ message: cause.message || String(cause.code) })

/**
 * Whether the connection is gone: the driver says so, or the server as its last word.
 *
 * @since 0.1.0
 * @category predicates
 */
export const isLost = (cause: unknown): boolean =>
  cause instanceof ConnectionLost || /^(08|57P0|25P03|53300)/.test(codeOf(cause))

const texts = new Map<string, string>()

/** The statements are few, and each is numbered once. */
const number = (text: string): string => {
  const known = texts.get(text)
  if (known !== undefined) return known
  let count = 0
  const numbered = text.replace(/\?/g, () => `$${++count}`)
  texts.set(text, numbered)
  return numbered
}

/**
 * PostgreSQL by pg.
 *
 * @since 0.1.0
 * @category models
 */
export const postgres: Dialect = {
  numbered: <C extends AnsweringConnection>(connection: C): C => ({
    ...connection,
    ...(connection.send && {
      send: (statements: ReadonlyArray<Statement>) =>
        connection.send!(statements.map(([text, params, count]) => [number(text), params, count]))
    }),
    execute: (text, params, transformRows) => connection.execute(number(text), params, transformRows),
    executeRaw: (text, params) => connection.executeRaw(number(text), params),
    executeValues: (text, params) => connection.executeValues(number(text), params)
  }),
  // Of this journal, so that others in the same database do not wait. It is not held while nobody appends, and needs no row.
  lock: "SELECT pg_advisory_xact_lock('event'::regclass::oid::int, 0)",
  lockEpoch: "SELECT pg_advisory_xact_lock('event'::regclass::oid::int, 1)",
  deferForeignKeys: "SET CONSTRAINTS ALL DEFERRED",
  reasonOf: (cause) =>
    cause instanceof ConnectionLost
      ? "unavailable"
      : reasons.find(([start]) => codeOf(cause).startsWith(start))?.[1] ?? "other",
  endsTransaction: isLost,
  // foreign_key_violation, restrict_violation
  isReferenced: (cause) => codeOf(cause) === "23503" || codeOf(cause) === "23001",
  isTransient: (cause) => isLost(cause) || codeOf(cause).startsWith("40"),
  writesEachRow: false,
  boolean: Schema.Boolean,
  randomText: "gen_random_uuid()",
  // A server's, a database's and a schema's.
  identity: `SELECT concat_ws(' ', extract(epoch from pg_postmaster_start_time()), oid, 'event'::regclass::oid)
    FROM pg_database WHERE datname = current_database()`,
  // Whoever appends has the lock, and events are never deleted.
  lastPosition: "SELECT coalesce(max(position), 0) FROM event"
}
