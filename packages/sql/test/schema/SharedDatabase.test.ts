import { Command, Journal } from "@caravel/domain"
import { Sqlite } from "@caravel/sql"
import * as PgClient from "@effect/sql-pg/PgClient"
import * as SqliteClient from "@effect/sql-sqlite-node/SqliteClient"
import * as Migrator from "@effect/sql/Migrator"
import { SqlClient } from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import { describe, expect, it } from "@effect/vitest"
import { Effect, type Layer, Redacted, type Scope, Stream } from "effect"
import type { ConfigError } from "effect/ConfigError"
import { schemaVersion } from "../../src/schema/Migrations.js"
import { type Endpoint, file, schemaOf, using } from "../fixtures/copying.js"
import { frozenSqlite, isKept } from "../fixtures/frozen.js"
import { inSchema, withPostgres } from "../fixtures/postgres.js"
import { raw, temporaryFile } from "../fixtures/sqlite.js"

const pubkey = "a".repeat(64)

/** An application's tables, in its own migrations. */
const tables = [
  "CREATE TABLE event (id INTEGER PRIMARY KEY, title TEXT)",
  "CREATE TABLE tenant (id INTEGER PRIMARY KEY, flat TEXT)",
  "CREATE TABLE relay (id INTEGER PRIMARY KEY, volts INTEGER)",
  "CREATE TABLE activity (id INTEGER PRIMARY KEY, sport TEXT)",
  "CREATE INDEX event_tenant ON event (title)",
  "CREATE TABLE consumer (id INTEGER PRIMARY KEY)",
  "CREATE TABLE import (id INTEGER PRIMARY KEY)",
  "CREATE TABLE epoch (id INTEGER PRIMARY KEY)",
  "INSERT INTO event (id, title) VALUES (1, 'concert')",
  "CREATE TABLE secret (id INTEGER PRIMARY KEY)",
  "INSERT INTO activity (id, sport) VALUES (1, 'rowing')",
  "CREATE VIEW parked AS SELECT id FROM relay"
]

/** The number of migrations that the application has at each start. */
const counts = [1, 7, 8, 9, tables.length]

const migrate = (count: number) =>
  Migrator.make({})({
    loader: Migrator.fromRecord(Object.fromEntries(
      tables.slice(0, count).map((statement, index) => [
        `${index + 1}_mine`,
        Effect.flatMap(SqlClient, (sql) => sql.unsafe(statement))
      ])
    ))
  })

/** Expects Caravel to work, and the application's tables and migrations to exist. */
const works = (count: number) =>
  Effect.gen(function*() {
    const sql = yield* SqlClient
    const command = yield* Command
    const { position } = yield* command.updateTenant({ pubkey, stripeCustomerId: `cus_${count}` })
    yield* command.createRelay({ id: `r${position}`, tenant: pubkey, subdomain: `r${position}` })
    const verified = yield* Stream.runCollect((yield* Journal).verify)
    expect([...verified].flatMap(({ differences }) => differences)).toEqual([])
    expect(yield* sql`SELECT migration_id AS id, name FROM effect_sql_migrations ORDER BY migration_id`).toEqual(
      tables.slice(0, count).map((_, index) => ({ id: index + 1, name: "mine" }))
    )
    if (count === tables.length) {
      expect(yield* sql`SELECT id, title FROM event`).toEqual([{ id: 1, title: "concert" }])
      expect(yield* sql`SELECT id, sport FROM activity`).toEqual([{ id: 1, sport: "rowing" }])
    }
  })

/** The application's own client, which is opened before Caravel's. */
const client = (endpoint: Endpoint): Layer.Layer<SqlClient, ConfigError | SqlError> =>
  "filename" in endpoint
    ? SqliteClient.layer({ filename: endpoint.filename })
    : PgClient.layer({ url: Redacted.make(inSchema(Redacted.value(endpoint.url), endpoint.schema!)) })

const suite = (name: string, endpoint: Effect.Effect<Endpoint, never, Scope.Scope>) =>
  describe(name, () => {
    for (const first of ["the application", "Caravel"]) {
      it.scopedLive(`an application can have its own tables and migrations if ${first} starts first`, () =>
        Effect.gen(function*() {
          const both = yield* endpoint
          const create = Effect.flatMap(Command, (command) => command.createTenant({ pubkey }))
          if (first === "Caravel") yield* using(both, create)
          for (const count of counts) {
            if (first === "Caravel") yield* using(both, Effect.zipRight(migrate(count), works(count)))
            else {
              yield* Effect.provide(migrate(count), client(both))
              if (count === 1) yield* using(both, create)
              yield* using(both, works(count))
            }
          }
        }))
    }

    it.scopedLive("an application's tables may refer to relays and tenants", () =>
      Effect.flatMap(endpoint, (both) =>
        using(
          both,
          Effect.gen(function*() {
            const sql = yield* SqlClient
            const command = yield* Command
            yield* command.createTenant({ pubkey })
            yield* command.createRelay({ id: "a", tenant: pubkey, subdomain: "a" })
            yield* sql`CREATE TABLE certificate (
              relay TEXT PRIMARY KEY REFERENCES caravel_relay (id),
              owner TEXT NOT NULL REFERENCES caravel_tenant (pubkey)
            )`
            yield* sql`INSERT INTO certificate (relay, owner) VALUES ('a', ${pubkey})`
            yield* Effect.flip(sql`INSERT INTO certificate (relay, owner) VALUES ('b', ${pubkey})`)
            yield* Effect.flip(sql`UPDATE certificate SET owner = 'nobody'`)
            yield* command.updateRelay({ id: "a", plan: "basic" })
            yield* command.deactivateRelay({ id: "a" })
            expect(yield* sql`SELECT relay FROM certificate JOIN caravel_relay ON id = relay WHERE status = 'inactive'`)
              .toEqual([{ relay: "a" }])
          })
        )))
  })

suite("in a file", file)

withPostgres("in a schema", (url) => suite("of PostgreSQL", schemaOf(url)))

describe("an application that shared its database with a build whose tables had no prefix", () => {
  const dump = frozenSqlite("0008")
  const theirs = `INSERT INTO effect_sql_migrations (migration_id, name) VALUES (9, 'mine');
    CREATE TABLE certificate (relay TEXT REFERENCES relay (id));
    INSERT INTO certificate VALUES ('a');
    CREATE INDEX relay_plan ON relay (plan);
    CREATE VIEW delinquent AS SELECT id FROM relay WHERE status = 'delinquent'`

  it.scopedLive("keeps its migrations, its tables and its additions to Caravel's tables", () =>
    Effect.gen(function*() {
      const filename = yield* temporaryFile
      const database = yield* raw(filename)
      database.exec(dump)
      database.exec(theirs)
      yield* isKept("0008").pipe(Effect.provide(Sqlite.layer({ filename })))
      expect(database.prepare("SELECT migration_id, name FROM effect_sql_migrations").raw().all()).toEqual([[
        9,
        "mine"
      ]])
      expect(database.prepare("SELECT max(migration_id) FROM caravel_migrations").pluck().get()).toBe(schemaVersion)
      expect(database.pragma("foreign_key_list(certificate)")).toMatchObject([{ table: "caravel_relay" }])
      expect(database.pragma("foreign_key_check")).toEqual([])
      expect(database.prepare("SELECT tbl_name FROM sqlite_schema WHERE name = 'relay_plan'").pluck().get())
        .toBe("caravel_relay")
      expect(database.prepare("SELECT count(*) FROM delinquent").pluck().get()).toBe(0)
    }))

  it.scopedLive("is not mistaken for Caravel because of the names of its tables and migrations", () =>
    Effect.gen(function*() {
      const filename = yield* temporaryFile
      const database = yield* raw(filename)
      database.exec(`CREATE TABLE effect_sql_migrations (migration_id integer PRIMARY KEY NOT NULL, name TEXT NOT NULL);
        INSERT INTO effect_sql_migrations VALUES (1, 'journal');
        CREATE TABLE event (position, activity_type, resource_version, payload, metadata);
        CREATE TABLE tenant (pubkey);
        CREATE TABLE relay (id);
        CREATE TABLE secret (id, value)`)
      yield* using({ filename }, Effect.flatMap(Command, (command) => command.createTenant({ pubkey })))
      const names = database.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").pluck().all()
      expect(names).toEqual(
        expect.arrayContaining(["event", "tenant", "relay", "caravel_event", "effect_sql_migrations"])
      )
    }))
})
