import { Schema } from "effect"
import type { Dialect } from "../statement/Dialect.js"
import type { AnsweringConnection } from "../statement/StatementScript.js"
import type { Statement } from "../statement/Table.js"
import { codeOf, isLost, kindOf } from "./PostgresError.js"

const texts = new Map<string, string>()
const internalStatements = new Set(["COMMIT", "ROLLBACK"])

/** Whether a statement is one of Caravel's own, which take milliseconds. */
export const isInternal = (text: string): boolean => internalStatements.has(text)

/** Replaces each `?` with `$1`, `$2` and so on. The results are kept, because there are few statements. */
const number = (text: string): string => {
  const known = texts.get(text)
  if (known !== undefined) return known
  let count = 0
  const numbered = text.replace(/\?/g, () => `$${++count}`)
  texts.set(text, numbered)
  internalStatements.add(numbered)
  return numbered
}

/** Selects the server's time in milliseconds. */
export const serverTime = "SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)"

/** PostgreSQL with the driver `pg`. */
export const postgres: Dialect = {
  spanAttributes: { "db.system.name": "postgresql" },
  withNativePlaceholders: <C extends AnsweringConnection>(connection: C): C => ({
    ...connection,
    ...(connection.send && {
      send: (statements: ReadonlyArray<Statement>) =>
        connection.send!(statements.map(([text, params, isBulk = false]) => [number(text), params, isBulk]))
    }),
    execute: (text, params, transformRows) => connection.execute(number(text), params, transformRows),
    executeRaw: (text, params) => connection.executeRaw(number(text), params),
    executeValues: (text, params) => connection.executeValues(number(text), params)
  }),
  isServer: true,
  // The journal's own lock, so that other journals in the database do not wait. It is held only while a transaction
  // appends, and needs no row.
  appendLock: [["SELECT pg_advisory_xact_lock('caravel_event'::regclass::oid::int, 0)", []]],
  epochLock: [["SELECT pg_advisory_xact_lock('caravel_event'::regclass::oid::int, 1)", []]],
  deferForeignKeys: "SET CONSTRAINTS ALL DEFERRED",
  reasonOf: (cause) => kindOf(cause).reason,
  adviceOf: (cause) => kindOf(cause).advice,
  endsTransaction: isLost,
  // foreign_key_violation, restrict_violation
  isReferenced: (cause) => codeOf(cause) === "23503" || codeOf(cause) === "23001",
  isTransient: (cause) => kindOf(cause).passes,
  writesEachRow: false,
  boolean: Schema.Boolean,
  randomText: "gen_random_uuid()",
  // Identifies the server, the database and the schema.
  identity: `SELECT concat_ws(' ', extract(epoch from pg_postmaster_start_time()), oid, 'caravel_event'::regclass::oid)
    FROM pg_database WHERE datname = current_database()`,
  // A transaction that appends holds the lock, and events are never deleted.
  lastPosition: "SELECT coalesce(max(position), 0) FROM caravel_event",
  lastEvent: `SELECT position, created_at, coalesce(latest_at, created_at) AS latest_at
    FROM caravel_event ORDER BY position DESC LIMIT 1`,
  serverTime
}
