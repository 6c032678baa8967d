import type { StorageErrorReason } from "@caravel/domain"
import { Function, Predicate, Schema } from "effect"
import type { Dialect } from "./Dialect.js"

/** By primary result code; extended ones, such as `SQLITE_BUSY_SNAPSHOT`, begin with theirs. */
const reasons: ReadonlyArray<readonly [code: string, reason: StorageErrorReason]> = [
  ["SQLITE_BUSY", "busy"],
  ["SQLITE_LOCKED", "busy"],
  ["SQLITE_FULL", "full"],
  ["SQLITE_CORRUPT", "corrupt"],
  ["SQLITE_NOTADB", "corrupt"],
  ["SQLITE_READONLY", "readonly"],
  ["SQLITE_CANTOPEN", "readonly"],
  ["SQLITE_PERM", "readonly"]
]

const codeOf = (cause: unknown) => Predicate.hasProperty(cause, "code") ? String(cause.code) : ""

/**
 * SQLite by better-sqlite3.
 *
 * @since 0.1.0
 * @category models
 */
export const sqlite: Dialect = {
  numbered: Function.identity,
  // Transactions begin immediately: whoever writes waits there.
  lock: undefined,
  lockEpoch: undefined,
  deferForeignKeys: "PRAGMA defer_foreign_keys = ON",
  reasonOf: (cause) => reasons.find(([code]) => codeOf(cause).startsWith(code))?.[1] ?? "other",
  endsTransaction: (cause) => /^SQLITE_(FULL|IOERR|NOMEM|CORRUPT|INTERRUPT)/.test(codeOf(cause)),
  // RESTRICT is a trigger to SQLite.
  isReferenced: (cause) =>
    /^SQLITE_CONSTRAINT_(FOREIGNKEY|TRIGGER)$/.test(codeOf(cause)) && String(cause).includes("FOREIGN KEY"),
  // Who was busy has been waited for already.
  isTransient: Function.constFalse,
  writesEachRow: true,
  boolean: Schema.transform(Schema.Literal(0, 1), Schema.Boolean, {
    strict: true,
    decode: (bit) => bit === 1,
    encode: (boolean) => boolean ? 1 : 0
  }),
  randomText: "hex(randomblob(16))",
  identity: "SELECT file FROM pragma_database_list WHERE name = 'main'",
  lastPosition: "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'event'"
}
