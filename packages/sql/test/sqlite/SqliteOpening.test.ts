/** A database that several connections open, close and switch to WAL mode at the same moment. */
import { Command, Journal } from "@caravel/domain"
import { Sqlite } from "@caravel/sql"
import { describe, expect, it } from "@effect/vitest"
import Database from "better-sqlite3"
import { Context, Effect, Layer, Stream } from "effect"
import { existsSync, linkSync } from "node:fs"
import { raw, temporaryFile } from "../fixtures/sqlite.js"

const pubkey = "a".repeat(64)

/** Replaces a method of the driver until the test ends. */
const replaced = <T extends object, K extends keyof T>(target: T, method: K, make: (original: T[K]) => T[K]) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const original = target[method]
      target[method] = make(original)
      return original
    }),
    (original) =>
      Effect.sync(() => {
        target[method] = original
      })
  )

/** Calls a function before the first statement of the next connection. */
const beforeFirstStatement = (then: () => void) => {
  let isFirst = true
  return replaced(
    Database.prototype,
    "prepare",
    (prepare) =>
      function(this: Database.Database, text: string) {
        if (isFirst) {
          isFirst = false
          then()
        }
        return prepare.call(this, text)
      } as typeof prepare
  )
}

/** Calls a function when SQLite has failed to switch the file to WAL mode. Returns the codes of the errors. */
const onceWalFailed = (then: () => void) =>
  Effect.gen(function*() {
    const codes: Array<unknown> = []
    const statement = Object.getPrototypeOf(new Database(":memory:").prepare("SELECT 1")) as Database.Statement
    yield* replaced(statement, "all", (all) =>
      function(this: Database.Statement, ...params) {
        try {
          return all.apply(this, params)
        } catch (error) {
          if (this.source === "PRAGMA journal_mode = WAL") {
            codes.push(error instanceof Database.SqliteError && error.code)
            then()
          }
          throw error
        }
      })
    return codes
  })

describe("opening a database", () => {
  it.scopedLive("while its last other connection closes uses the new log that SQLite then makes", () =>
    Effect.gen(function*() {
      const filename = yield* temporaryFile
      const open = Layer.build(Sqlite.layer({ filename }))
      yield* Effect.scoped(open)
      const other = yield* raw(filename)
      other.pragma("schema_version")
      const logs = () => ["-wal", "-shm"].map((suffix) => existsSync(`${filename}${suffix}`))
      expect(logs()).toEqual([true, true])
      // Otherwise the new files could have the inodes of the old ones.
      for (const suffix of ["-wal", "-shm"]) linkSync(`${filename}${suffix}`, `${filename}-old${suffix}`)
      let afterClose: ReadonlyArray<boolean> = []
      yield* beforeFirstStatement(() => {
        other.close()
        afterClose = logs()
      })
      const context = yield* open
      expect(afterClose).toEqual([false, false])
      yield* Context.get(context, Command).createTenant({ pubkey })
      yield* Stream.runDrain(Context.get(context, Journal).verify)
    }))

  it.scopedLive("waits while another program's transaction keeps it from switching to WAL mode", () =>
    Effect.gen(function*() {
      const filename = yield* temporaryFile
      const other = yield* raw(filename)
      other.exec("CREATE TABLE note (id INTEGER); BEGIN IMMEDIATE")
      const codes = yield* onceWalFailed(() => other.inTransaction && other.exec("ROLLBACK"))
      const context = yield* Layer.build(Sqlite.layer({ filename }))
      expect(codes).toEqual(["SQLITE_BUSY"])
      yield* Context.get(context, Command).createTenant({ pubkey })
    }))
})
