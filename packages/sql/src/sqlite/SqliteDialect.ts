import type { StorageErrorReason } from "@caravel/domain"
import { Data, Function, Predicate, Schema } from "effect"
import type { Dialect } from "../statement/Dialect.js"

/**
 * Reasons by primary result code. Extended codes, such as `SQLITE_BUSY_SNAPSHOT`, begin with the primary one.
 * Exceptions come first.
 */
const reasons: ReadonlyArray<readonly [code: string, reason: StorageErrorReason]> = [
  // The file was renamed or removed.
  ["SQLITE_READONLY_DBMOVED", "replaced"],
  // An incomplete page. Other failed reads, such as `SQLITE_IOERR_CORRUPTFS`, say nothing about the file's content.
  ["SQLITE_IOERR_SHORT_READ", "corrupt"],
  ["SQLITE_BUSY", "busy"],
  ["SQLITE_LOCKED", "busy"],
  // Another process recovers or closes the log at this moment.
  ["SQLITE_PROTOCOL", "busy"],
  ["SQLITE_INTERRUPT", "busy"],
  ["SQLITE_SCHEMA", "busy"],
  ["SQLITE_FULL", "full"],
  ["SQLITE_CORRUPT", "corrupt"],
  ["SQLITE_NOTADB", "corrupt"],
  ["SQLITE_READONLY", "readonly"],
  ["SQLITE_CANTOPEN", "readonly"],
  ["SQLITE_PERM", "readonly"],
  ["SQLITE_AUTH", "readonly"]
]

/** Another transaction of this process has not returned the connection in time. */
export class ConnectionInUse extends Data.TaggedError("ConnectionInUse") {
  override get message() {
    return "another transaction of this process holds the database"
  }
}

/** What SQLite answers with its general code if the file does not have Caravel's tables, or none that it can read. */
const damagedSchema = /^(unsupported file format|no such (table|column): )/

const reasonOf = (cause: unknown): StorageErrorReason => {
  if (cause instanceof ConnectionInUse) return "busy"
  const code = codeOf(cause)
  if (code === "SQLITE_ERROR" && damagedSchema.test(messageOf(cause))) return "corrupt"
  return reasons.find(([start]) => code.startsWith(start))?.[1] ?? "other"
}

const codeOf = (cause: unknown) => Predicate.hasProperty(cause, "code") ? String(cause.code) : ""

const messageOf = (cause: unknown) => Predicate.hasProperty(cause, "message") ? String(cause.message) : ""

/** SQLite with the driver `better-sqlite3`. */
export const sqlite: Dialect = {
  spanAttributes: { "db.system.name": "sqlite" },
  withNativePlaceholders: Function.identity,
  isServer: false,
  // Transactions begin IMMEDIATE, so writers wait at BEGIN.
  appendLock: [],
  epochLock: [],
  deferForeignKeys: "PRAGMA defer_foreign_keys = ON",
  reasonOf,
  adviceOf: (cause) =>
    reasonOf(cause) === "readonly"
      ? "the database cannot be written; check the permissions of the file and its directory"
      : cause instanceof ConnectionInUse
      ? "end that transaction, or run this inside it"
      : undefined,
  endsTransaction: (cause) => /^SQLITE_(FULL|IOERR|NOMEM|CORRUPT|INTERRUPT)/.test(codeOf(cause)),
  // SQLite reports a violated RESTRICT as the error of a trigger.
  isReferenced: (cause) =>
    /^SQLITE_CONSTRAINT_(FOREIGNKEY|TRIGGER)$/.test(codeOf(cause)) && String(cause).includes("FOREIGN KEY"),
  isTransient: (cause) => reasonOf(cause) === "busy",
  writesEachRow: true,
  boolean: Schema.transform(Schema.Literal(0, 1), Schema.Boolean, {
    strict: true,
    decode: (bit) => bit === 1,
    encode: (boolean) => boolean ? 1 : 0
  }),
  randomText: "hex(randomblob(16))",
  identity: "SELECT file FROM pragma_database_list WHERE name = 'main'",
  lastPosition: "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'caravel_event'",
  lastEvent: `SELECT seq AS position, created_at, coalesce(latest_at, created_at) AS latest_at
    FROM sqlite_sequence LEFT JOIN caravel_event ON position = seq WHERE name = 'caravel_event'`,
  serverTime: undefined
}
