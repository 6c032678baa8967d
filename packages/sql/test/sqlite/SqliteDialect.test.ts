import { describe, expect, it } from "@effect/vitest"
import SqliteDatabase from "better-sqlite3"
import { Effect } from "effect"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { sqlite } from "../../src/sqlite/SqliteDialect.js"
import { raw, temporaryDirectory } from "../fixtures/sqlite.js"

/** The reason of the error that the driver really throws. */
const reasonOf = (statement: () => unknown) => {
  try {
    statement()
  } catch (cause) {
    return sqlite.reasonOf(cause)
  }
  return "no error"
}

describe("the driver's errors", () => {
  it.scopedLive("are told apart by their codes", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const filename = join(directory, "a.db")
      const database = yield* raw(filename)
      database.exec("CREATE TABLE t (x TEXT UNIQUE); INSERT INTO t VALUES ('a')")
      expect(reasonOf(() => database.exec("INSERT INTO t VALUES ('a')"))).toBe("other")
      expect(reasonOf(() => database.exec("not SQL"))).toBe("other")

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
    }))
})
