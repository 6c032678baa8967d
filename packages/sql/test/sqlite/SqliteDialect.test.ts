import { describe, expect, it } from "@effect/vitest"
import SqliteDatabase from "better-sqlite3"
import { Effect } from "effect"
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { sqlite } from "../../src/sqlite/SqliteDialect.js"
import { raw, temporaryDirectory } from "../fixtures/sqlite.js"

/** The reason of an error that the driver actually throws. */
const reasonOf = (statement: () => unknown) => {
  try {
    statement()
  } catch (cause) {
    return sqlite.reasonOf(cause)
  }
  return "no error"
}

describe("the driver's errors", () => {
  it.scopedLive("are distinguished by their codes", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const filename = join(directory, "a.db")
      const database = yield* raw(filename)
      database.exec("CREATE TABLE t (x TEXT UNIQUE); INSERT INTO t VALUES ('a')")
      expect(reasonOf(() => database.exec("INSERT INTO t VALUES ('a')"))).toBe("other")
      expect(reasonOf(() => database.exec("not SQL"))).toBe("other")
      expect(reasonOf(() => database.exec("SELECT * FROM none"))).toBe("corrupt")
      expect(reasonOf(() => database.exec("SELECT none FROM t"))).toBe("corrupt")

      const second = new SqliteDatabase(filename, { timeout: 0 })
      second.exec("BEGIN IMMEDIATE")
      database.pragma("busy_timeout = 0")
      expect(reasonOf(() => database.exec("BEGIN IMMEDIATE"))).toBe("busy")
      second.close()

      database.pragma("max_page_count = 1")
      const fill = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) INSERT INTO t SELECT hex(i) FROM n"
      expect(reasonOf(() => database.exec(fill))).toBe("full")

      const readonly = new SqliteDatabase(filename, { readonly: true })
      expect(reasonOf(() => readonly.exec("DELETE FROM t"))).toBe("readonly")
      readonly.close()

      expect(reasonOf(() => new SqliteDatabase(directory))).toBe("readonly")
      writeFileSync(join(directory, "text"), "x".repeat(5000))
      expect(reasonOf(() => new SqliteDatabase(join(directory, "text")).pragma("journal_mode"))).toBe("corrupt")

      // The schema format that the header names is none that SQLite knows.
      const ofTheFuture = join(directory, "future.db")
      const future = new SqliteDatabase(ofTheFuture)
      future.exec("CREATE TABLE t (x)")
      future.close()
      const bytes = readFileSync(ofTheFuture)
      bytes.writeUInt32BE(9, 44)
      writeFileSync(ofTheFuture, bytes)
      expect(reasonOf(() => new SqliteDatabase(ofTheFuture).exec("SELECT * FROM t"))).toBe("corrupt")
    }))
})

/**
 * The classification of each code: the reason, whether it is transient, and whether SQLite has rolled the transaction
 * back.
 */
const codes: ReadonlyArray<
  readonly [code: string, reason: string, passes?: "passes" | undefined, transaction?: "ended"]
> = [
  ["SQLITE_ABORT", "other"],
  ["SQLITE_AUTH", "readonly"],
  ["SQLITE_BUSY", "busy", "passes"],
  ["SQLITE_BUSY_RECOVERY", "busy", "passes"],
  ["SQLITE_BUSY_SNAPSHOT", "busy", "passes"],
  ["SQLITE_BUSY_TIMEOUT", "busy", "passes"],
  ["SQLITE_CANTOPEN", "readonly"],
  ["SQLITE_CANTOPEN_ISDIR", "readonly"],
  ["SQLITE_CONSTRAINT_CHECK", "other"],
  ["SQLITE_CONSTRAINT_FOREIGNKEY", "other"],
  ["SQLITE_CONSTRAINT_PRIMARYKEY", "other"],
  ["SQLITE_CONSTRAINT_TRIGGER", "other"],
  ["SQLITE_CONSTRAINT_UNIQUE", "other"],
  ["SQLITE_CORRUPT", "corrupt", undefined, "ended"],
  ["SQLITE_CORRUPT_INDEX", "corrupt", undefined, "ended"],
  ["SQLITE_CORRUPT_VTAB", "corrupt", undefined, "ended"],
  ["SQLITE_ERROR", "other"],
  ["SQLITE_FULL", "full", undefined, "ended"],
  ["SQLITE_INTERRUPT", "busy", "passes", "ended"],
  ["SQLITE_IOERR", "other", undefined, "ended"],
  ["SQLITE_IOERR_CORRUPTFS", "other", undefined, "ended"],
  ["SQLITE_IOERR_FSYNC", "other", undefined, "ended"],
  ["SQLITE_IOERR_SHORT_READ", "corrupt", undefined, "ended"],
  ["SQLITE_IOERR_WRITE", "other", undefined, "ended"],
  ["SQLITE_LOCKED", "busy", "passes"],
  ["SQLITE_LOCKED_SHAREDCACHE", "busy", "passes"],
  ["SQLITE_MISUSE", "other"],
  ["SQLITE_NOMEM", "other", undefined, "ended"],
  ["SQLITE_NOTADB", "corrupt"],
  ["SQLITE_PERM", "readonly"],
  ["SQLITE_PROTOCOL", "busy", "passes"],
  ["SQLITE_READONLY", "readonly"],
  ["SQLITE_READONLY_CANTINIT", "readonly"],
  ["SQLITE_READONLY_DBMOVED", "replaced"],
  ["SQLITE_READONLY_DIRECTORY", "readonly"],
  ["SQLITE_READONLY_ROLLBACK", "readonly"],
  ["SQLITE_SCHEMA", "busy", "passes"],
  ["SQLITE_TOOBIG", "other"],
  ["ENOENT", "other"],
  ["", "other"]
]

describe("the classification of an error code", () => {
  it.each(codes)("%s", (code, reason, passes, transaction) => {
    const cause = Object.assign(new Error("it failed"), { code })
    expect([sqlite.reasonOf(cause), sqlite.isTransient(cause), sqlite.endsTransaction(cause)]).toEqual([
      reason,
      passes !== undefined,
      transaction !== undefined
    ])
    // Advice that does not follow from the reason alone.
    expect(sqlite.adviceOf(cause)).toEqual(
      reason === "readonly" ? expect.stringContaining("permissions of the file and its directory") : undefined
    )
  })

  it("is other without a code", () => {
    for (const cause of [undefined, null, "SQLITE_BUSY", new Error("database is locked")]) {
      expect(sqlite.reasonOf(cause)).toBe("other")
      expect(sqlite.endsTransaction(cause)).toBe(false)
    }
  })

  it("is tested for every code in the source", () => {
    const source = readFileSync(new URL("../../src/sqlite/SqliteDialect.ts", import.meta.url), "utf8")
    const named = [...source.matchAll(/"(SQLITE_[A-Z_]+)"/g)].map(([, code]) => code)
    expect(named.length).toBeGreaterThan(10)
    expect(named.filter((code) => !codes.some(([tested]) => tested === code))).toEqual([])
  })

  it("recognises a foreign key that refuses a statement", () => {
    const error = (code: string, message: string) => Object.assign(new Error(message), { code })
    const refused = "FOREIGN KEY constraint failed"
    expect(sqlite.isReferenced(error("SQLITE_CONSTRAINT_FOREIGNKEY", refused))).toBe(true)
    expect(sqlite.isReferenced(error("SQLITE_CONSTRAINT_TRIGGER", refused))).toBe(true)
    expect(sqlite.isReferenced(error("SQLITE_CONSTRAINT_TRIGGER", "events are never changed"))).toBe(false)
    expect(sqlite.isReferenced(error("SQLITE_CONSTRAINT_UNIQUE", refused))).toBe(false)
  })
})
