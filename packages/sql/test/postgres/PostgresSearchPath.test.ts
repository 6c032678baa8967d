/**
 * A `search_path` with several schemas, such as the default `"$user", public`: Caravel's tables stay where they are, even
 * if a schema before theirs is created later.
 */
import { Command, Journal, Query } from "@caravel/domain"
import { Postgres, schemaVersion } from "@caravel/sql"
import * as PgClient from "@effect/sql-pg/PgClient"
import { expect, it } from "@effect/vitest"
import { Effect, Layer, Redacted } from "effect"
import * as Migrations from "../../src/schema/Migrations.js"
import { frozenPostgres, isKept } from "../fixtures/frozen.js"
import { inSchema, statements, temporarySchema, withPostgres } from "../fixtures/postgres.js"

const pubkey = "b".repeat(64)

/** Everything in a schema. */
const contents = (schema: string) =>
  `SELECT relname AS name FROM pg_class WHERE relnamespace = '${schema}'::regnamespace
    UNION ALL SELECT proname FROM pg_proc WHERE pronamespace = '${schema}'::regnamespace ORDER BY name`

withPostgres("PostgreSQL: a search_path with several schemas", (url) => {
  const twoSchemas = Effect.gen(function*() {
    const [first, second] = [yield* temporarySchema(url), yield* temporarySchema(url)]
    return { first, second, options: { url: Redacted.make(inSchema(url, `${first},${second}`)) } }
  })

  const rowsOf = (text: string) => Effect.map(statements(url, text), ([rows]) => rows!)

  for (const [frozen, name] of [["0008", "epoch"], ["0009", "caravel_epoch"]] as const) {
    for (const theirs of ["nothing", "an application's tables and migrations"]) {
      it.scopedLive(`a database of ${frozen} in the second is migrated there, with ${theirs} in the first`, () =>
        Effect.gen(function*() {
          const { first, options, second } = yield* twoSchemas
          yield* statements(url, frozenPostgres(frozen, second))
          if (theirs !== "nothing") {
            yield* statements(
              url,
              `CREATE TABLE ${first}.effect_sql_migrations (migration_id int PRIMARY KEY, created_at timestamptz, name text);
                INSERT INTO ${first}.effect_sql_migrations VALUES (1, now(), 'mine');
                CREATE TABLE ${first}.event (id int); CREATE VIEW ${first}.activity AS SELECT id FROM ${first}.event`
            )
          }
          const before = yield* rowsOf(contents(first))
          const epochs = yield* rowsOf(`SELECT epoch FROM ${second}.${name} ORDER BY number`)
          const strict = Postgres.layer({ ...options, create: false, migrate: false })
          expect(yield* Effect.flip(Effect.scoped(Layer.build(strict)))).toMatchObject({
            reason: "older",
            cause: { found: Number(frozen) }
          })

          yield* isKept(frozen).pipe(Effect.provide(Postgres.layer(options)))
          yield* Effect.gen(function*() {
            const journal = yield* Journal
            expect((yield* journal.epochs).map(({ epoch }) => ({ epoch }))).toEqual(epochs)
            expect(yield* journal.head).toBe(5)
          }).pipe(Effect.provide(strict))
          expect(yield* rowsOf(contents(first))).toEqual(before)
          expect(yield* rowsOf(`SELECT max(migration_id) AS found FROM ${second}.caravel_migrations`)).toEqual([
            { found: schemaVersion }
          ])
        }))
    }
  }

  it.scopedLive("an up-to-date database in the second is read and written there", () =>
    Effect.gen(function*() {
      const { first, options, second } = yield* twoSchemas
      yield* Effect.scoped(Layer.build(Postgres.layer({ url: Redacted.make(url), schema: second })))
      yield* Effect.flatMap(Command, (command) => command.createTenant({ pubkey })).pipe(
        Effect.provide(Postgres.layer(options))
      )
      const tenants = Effect.flatMap(Query, ({ tenants }) => tenants)
      expect(yield* Effect.provide(tenants, Postgres.layer({ ...options, schema: second }))).toHaveLength(1)
      expect(yield* rowsOf(contents(first))).toEqual([])
      // A schema that is named is another database.
      yield* Effect.scoped(Layer.build(Postgres.layer({ ...options, schema: first })))
      expect(yield* Effect.provide(tenants, Postgres.layer(options))).toEqual([])
    }))

  it.scopedLive("several processes at once migrate a database in the second once", () =>
    Effect.gen(function*() {
      const { first, options, second } = yield* twoSchemas
      yield* statements(url, frozenPostgres("0008", second))
      const openings = Array.from({ length: 8 }, () => Effect.scoped(Layer.build(Postgres.layer(options))))
      yield* Effect.all(openings, { concurrency: "unbounded" })
      yield* isKept("0008").pipe(Effect.provide(Postgres.layer(options)))
      expect(yield* rowsOf(contents(first))).toEqual([])
    }))

  it.scopedLive("a schema that is named is migrated, although one after it in the role's search_path has a database", () =>
    Effect.gen(function*() {
      // As behind a pooler that drops the setting: the role's own is in force.
      const { first, options, second } = yield* twoSchemas
      yield* Effect.scoped(Layer.build(Postgres.layer({ url: Redacted.make(url), schema: second })))
      yield* Effect.gen(function*() {
        expect(yield* Migrations.isMadeIn(undefined)).toBe(true)
        expect(yield* Migrations.isMadeIn(first)).toBe(false)
        expect(yield* Effect.flip(Migrations.mustBeUpToDate("opening", first))).toMatchObject({ reason: "older" })
        yield* Migrations.run(first)
        expect(yield* Migrations.isMadeIn(first)).toBe(true)
      }).pipe(Effect.provide(PgClient.layer({ url: options.url })))
      expect(yield* rowsOf(contents(first))).toEqual(yield* rowsOf(contents(second)))
    }))
})
