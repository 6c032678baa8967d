/**
 * The caller's plain statements. Those that may write run in transactions of their own, which must have no other
 * visible effect.
 */
import { Sqlite } from "@caravel/sql"
import { SqlClient } from "@effect/sql/SqlClient"
import { describe, expect, it } from "@effect/vitest"
import { Context, Effect, Fiber, Layer } from "effect"
import { layerTemporary, withPostgres } from "../fixtures/postgres.js"
import { raw, temporaryFile } from "../fixtures/sqlite.js"

const suite = <E>(layer: Layer.Layer<SqlClient, E>, outside: ReadonlyArray<string>) => {
  const test = <A, E2>(name: string, body: (sql: SqlClient) => Effect.Effect<A, E2>) =>
    it.effect(name, () => Effect.provide(Effect.flatMap(SqlClient, body), layer))

  test("return rows, are committed, and are rolled back if they fail", (sql) =>
    Effect.gen(function*() {
      yield* sql`CREATE TABLE note (id INTEGER PRIMARY KEY, text TEXT NOT NULL)`
      expect(yield* sql`INSERT INTO note ${sql.insert({ id: 1, text: "one" })} RETURNING text`).toEqual([{
        text: "one"
      }])
      yield* Effect.flip(sql`INSERT INTO note ${sql.insert({ id: 1, text: "two" })}`)
      yield* Effect.flip(sql`INSERT INTO nothing ${sql.insert({ id: 1 })}`)
      expect(yield* sql`UPDATE note SET text = ${"three"} WHERE id = ${1} RETURNING id`.values).toEqual([[1]])
      yield* sql.withTransaction(sql`-- with a comment before it
        DELETE FROM note`.pipe(Effect.zipRight(Effect.fail("no")), Effect.ignore, Effect.zipRight(Effect.fail("undo"))))
        .pipe(Effect.ignore)
      expect(yield* sql`SELECT * FROM note`).toEqual([{ id: 1, text: "three" }])
    }))

  for (const statement of outside) {
    test(`may be statements that cannot run in a transaction: ${statement}`, (sql) =>
      Effect.gen(function*() {
        yield* sql`CREATE TABLE note (id INTEGER)`
        yield* sql.unsafe(statement)
        yield* sql`INSERT INTO note ${sql.insert({ id: 1 })}`
        expect(yield* sql`SELECT id FROM note`).toEqual([{ id: 1 }])
      }))
  }

  test("may begin and end a transaction on a reserved connection", (sql) =>
    Effect.gen(function*() {
      yield* sql`CREATE TABLE note (id INTEGER)`
      yield* Effect.scoped(Effect.gen(function*() {
        const connection = yield* sql.reserve
        const run = (text: string) => connection.executeValues(text, [])
        yield* run("BEGIN")
        yield* run("INSERT INTO note VALUES (1)")
        yield* run("ROLLBACK")
        yield* run("BEGIN")
        yield* run("INSERT INTO note VALUES (2)")
        yield* run("COMMIT")
      }))
      expect(yield* sql`SELECT id FROM note`).toEqual([{ id: 2 }])
    }))
}

describe("SQLite: plain statements", () => {
  suite(Sqlite.layerTemporary, ["VACUUM", "/* now */ PRAGMA foreign_keys = OFF", "ATTACH ':memory:' AS other"])

  it.scopedLive("may begin with comments, of any length", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient
      const comment = `${"-".repeat(80)}\n-- ${"- ".repeat(80)}\n/${"*".repeat(80)}/${"/**/".repeat(80)}\n`
      yield* sql.unsafe(`${comment}CREATE TABLE note (id INTEGER)`)
      yield* sql.unsafe(`${comment}INSERT INTO note VALUES (1)`)
      yield* sql.withTransaction(sql.unsafe(`${comment}INSERT INTO note VALUES (2)`))
      yield* sql.unsafe(`${comment}VACUUM`)
      expect(yield* sql.unsafe(`${comment}SELECT id FROM note ORDER BY id`)).toEqual([{ id: 1 }, { id: 2 }])
    }).pipe(Effect.provide(Sqlite.layerTemporary)))

  it.scopedLive("wait for another process's transaction and then have their usual effect", () =>
    Effect.gen(function*() {
      const filename = yield* temporaryFile
      const sql = Context.get(yield* Layer.build(Sqlite.layer({ filename })), SqlClient)
      yield* sql`CREATE TABLE note (id INTEGER)`
      const other = yield* raw(filename)
      other.exec("BEGIN IMMEDIATE; INSERT INTO note VALUES (1)")
      const waiting = yield* Effect.fork(sql`INSERT INTO note SELECT max(id) + 1 FROM note`)
      yield* Effect.repeatN(Effect.yieldNow(), 100)
      other.exec("COMMIT")
      yield* Fiber.join(waiting)
      expect(yield* sql`SELECT id FROM note ORDER BY id`).toEqual([{ id: 1 }, { id: 2 }])
    }))
})

withPostgres(
  "PostgreSQL: plain statements",
  (url) =>
    suite(layerTemporary(url), [
      "VACUUM",
      "CREATE INDEX CONCURRENTLY by_id ON note (id)",
      "SET application_name = 'note'"
    ])
)
