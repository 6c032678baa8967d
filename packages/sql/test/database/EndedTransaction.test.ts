/** Statements that would end the caller's transaction early: those that roll it back when they fail, and the caller's own. */
import type { StorageError } from "@caravel/domain"
import { type Postgres, Sqlite } from "@caravel/sql"
import { SqlClient } from "@effect/sql/SqlClient"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Exit, type Layer, Queue } from "effect"
import { stored, world } from "../fixtures/notes.js"
import { layerTemporary, withPostgres } from "../fixtures/postgres.js"

const tenant = "b".repeat(64)

const insert = (key: string) => Effect.flatMap(SqlClient, (sql) => sql`INSERT INTO app (k) VALUES (${key})`)

const takeKey = insert("taken")

/** The ways in which a statement of SQLite rolls the transaction back: tables, and statements that fail on them. */
const forms = {
  "INSERT OR ROLLBACK": {
    tables: ["CREATE TABLE app (k TEXT UNIQUE)"],
    failing: "INSERT OR ROLLBACK INTO app (k) VALUES ('taken')"
  },
  "ON CONFLICT ROLLBACK": {
    tables: ["CREATE TABLE app (k TEXT UNIQUE ON CONFLICT ROLLBACK)"],
    failing: "INSERT INTO app (k) VALUES ('taken')"
  },
  "RAISE(ROLLBACK)": {
    tables: [
      "CREATE TABLE app (k TEXT)",
      `CREATE TRIGGER refuse BEFORE INSERT ON app WHEN EXISTS (SELECT 1 FROM app WHERE k = NEW.k)
        BEGIN SELECT RAISE(ROLLBACK, 'taken'); END`
    ],
    failing: "INSERT INTO app (k) VALUES ('taken')"
  }
}

describe("SQLite: after a statement that has rolled the transaction back", () => {
  for (const [form, { failing, tables }] of Object.entries(forms)) {
    it.scopedLive(`by ${form}, nothing else runs in the transaction, and nothing is stored`, () =>
      Effect.gen(function*() {
        const { command, queue, sql } = yield* world
        for (const table of tables) yield* sql.unsafe(table)
        yield* takeKey
        const keys = Effect.map(sql`SELECT k FROM app ORDER BY k`, (rows) => rows.map(({ k }) => k))
        const create = command.createTenant({ pubkey: tenant })
        const refused = { message: "A statement that failed has rolled back the transaction" }
        for (const isNested of [false, true]) {
          const error = yield* Effect.flip(sql.withTransaction(Effect.gen(function*() {
            yield* insert("before")
            const ignored = Effect.ignore(sql.unsafe(failing))
            yield* isNested ? Effect.ignore(sql.withTransaction(ignored)) : ignored
            expect(yield* Effect.flip(insert("after"))).toMatchObject(refused)
            expect(yield* Effect.flip(create)).toMatchObject({ _tag: "StorageError", reason: "other" })
            expect(yield* Effect.flip(sql.withTransaction(insert("nested")))).toMatchObject(refused)
          })))
          expect(error).toMatchObject({ _tag: "SqlError", ...refused })
          expect(yield* keys).toEqual(["taken"])
          expect(yield* stored).toEqual([])
        }
        expect(yield* Queue.size(queue)).toBe(0)
        yield* sql.withTransaction(Effect.all([insert("next"), create]))
        expect(yield* keys).toEqual(["next", "taken"])
        expect((yield* Queue.take(queue)).position).toBe(2)
      }).pipe(Effect.provide(Sqlite.layerTemporary)))
  }
})

const ends = ["COMMIT", "end transaction", "; /* now */ ROLLBACK", "-- now\nROLLBACK;"]

const suite = (layer: Layer.Layer<Postgres.Services, StorageError>) => {
  for (const end of ends) {
    it.scopedLive(`is refused, and the transaction continues: ${JSON.stringify(end)}`, () =>
      Effect.gen(function*() {
        const { command, note, notes, sql } = yield* world
        const body = Effect.gen(function*() {
          yield* note("before")
          for (const run of [sql.unsafe(end), sql.unsafe(end).raw, sql.unsafe(end).values]) {
            expect(yield* Effect.flip(Effect.asVoid(run))).toMatchObject({
              message: "A statement cannot end the transaction"
            })
          }
          yield* command.createRelay({ id: "a", tenant: "a".repeat(64), subdomain: "a" })
          yield* note("after")
        })
        const exit = yield* Effect.exit(sql.withTransaction(Effect.zipRight(body, Effect.fail("undo"))))
        expect(exit).toEqual(Exit.fail("undo"))
        expect(yield* notes).toEqual([])
        expect(yield* stored).toEqual([])
        yield* sql.withTransaction(body)
        expect(yield* notes).toEqual(["after", "before"])
        expect(yield* stored).toEqual(["a"])
      }).pipe(Effect.provide(layer)))
  }

  it.scopedLive("does not include the caller's own savepoints", () =>
    Effect.gen(function*() {
      const { note, notes, sql } = yield* world
      yield* sql.withTransaction(Effect.gen(function*() {
        for (const rollBack of ["ROLLBACK TO mine", "ROLLBACK TRANSACTION TO SAVEPOINT mine"]) {
          yield* sql`SAVEPOINT mine`
          yield* note("undone")
          yield* sql.unsafe(rollBack)
          yield* sql`RELEASE SAVEPOINT mine`
        }
        yield* note("kept")
      }))
      expect(yield* notes).toEqual(["kept"])
    }).pipe(Effect.provide(layer)))
}

describe("SQLite: a caller's statement that ends the transaction", () => suite(Sqlite.layerTemporary))
withPostgres("PostgreSQL: a caller's statement that ends the transaction", (url) => suite(layerTemporary(url)))
