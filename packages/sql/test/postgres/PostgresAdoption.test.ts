import { Backup, Copy, Postgres, Sqlite } from "@caravel/sql"
import { expect, it } from "@effect/vitest"
import { Effect, Layer, Redacted } from "effect"
import { frozenPostgres, frozenSchemas, isKept } from "../fixtures/frozen.js"
import { inSchema, statements, temporarySchema, withPostgres } from "../fixtures/postgres.js"
import { temporaryFile } from "../fixtures/sqlite.js"

/** Everything in a schema, as the server describes it, by name. */
const catalog = `
  SELECT 'relation' AS kind, relname AS name, relkind::text AS text FROM pg_class WHERE relnamespace = $1::regnamespace
  UNION ALL SELECT 'column', attrelid::regclass || '.' || attname, concat_ws(' ', format_type(atttypid, atttypmod), attnotnull,
      attcollation::regcollation, attidentity, pg_get_expr(adbin, adrelid))
    FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
    WHERE relnamespace = $1::regnamespace AND attnum > 0 AND relkind IN ('r', 'v')
  UNION ALL SELECT 'constraint', conname, concat_ws(' ', conrelid::regclass, pg_get_constraintdef(oid))
    FROM pg_constraint WHERE connamespace = $1::regnamespace
  UNION ALL SELECT 'index', indexname, indexdef FROM pg_indexes WHERE schemaname = $1
  UNION ALL SELECT 'view', viewname, definition FROM pg_views WHERE schemaname = $1
  UNION ALL SELECT 'trigger', tgname, pg_get_triggerdef(pg_trigger.oid)
    FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid WHERE relnamespace = $1::regnamespace AND NOT tgisinternal
  UNION ALL SELECT 'function', proname, pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = $1::regnamespace
  ORDER BY kind, name, text`

withPostgres("databases of earlier schemas on PostgreSQL", (url) => {
  const catalogOf = (schema: string) =>
    Effect.map(
      statements(inSchema(url, schema), catalog.replaceAll("$1", `'${schema}'`)),
      ([rows]) => JSON.parse(JSON.stringify(rows).replaceAll(schema, "schema"))
    )

  for (const frozen of frozenSchemas) {
    it.scopedLive(`one of ${frozen} is migrated to the schema of a new one, and keeps its rows`, () =>
      Effect.gen(function*() {
        const [old, fresh] = [yield* temporarySchema(url), yield* temporarySchema(url)]
        yield* statements(url, frozenPostgres(frozen, old))
        yield* isKept(frozen).pipe(Effect.provide(Postgres.layer({ url: Redacted.make(url), schema: old })))
        yield* Effect.scoped(Layer.build(Postgres.layer({ url: Redacted.make(url), schema: fresh })))
        expect(yield* catalogOf(old)).toEqual(yield* catalogOf(fresh))
      }))
  }

  it.scopedLive("one is not migrated with migrate: false, which refuses it and changes nothing", () =>
    Effect.gen(function*() {
      const schema = yield* temporarySchema(url)
      yield* statements(url, frozenPostgres("0008", schema))
      const before = yield* catalogOf(schema)
      const options = { url: Redacted.make(url), schema }
      const open = Effect.scoped(Layer.build(Postgres.layer({ ...options, migrate: false })))
      expect(yield* Effect.flip(open)).toMatchObject({ reason: "older", cause: { _tag: "OlderSchema", found: 8 } })
      // Nor by a restore or a copy, unless it may overwrite the database.
      const to = yield* temporaryFile
      yield* Effect.scoped(Layer.build(Sqlite.layer({ filename: to })))
      yield* Backup.backup({ from: to, to: `${to}.backup` })
      const refused = [
        yield* Effect.flip(Backup.restore({ from: `${to}.backup`, to: options })),
        yield* Effect.flip(Backup.backup({ from: options, to, overwrite: true })),
        yield* Effect.flip(Copy.copy({ from: options, to: { filename: to } }))
      ]
      for (const error of refused) expect(error).toMatchObject({ _tag: "StorageError", reason: "older" })
      expect(yield* catalogOf(schema)).toEqual(before)
      yield* Effect.scoped(Layer.build(Postgres.layer(options)))
      yield* open
      // There is nothing to migrate in a new one.
      const empty = { ...options, schema: yield* temporarySchema(url) }
      yield* Effect.scoped(Layer.build(Postgres.layer({ ...empty, migrate: false })))
    }))

  it.scopedLive("roles keep their rights to read and write", () =>
    Effect.gen(function*() {
      const schema = yield* temporarySchema(url)
      const role = `${schema}_role`
      yield* Effect.acquireRelease(
        statements(
          url,
          frozenPostgres("0008", schema),
          `CREATE ROLE ${role} LOGIN`,
          `GRANT USAGE ON SCHEMA ${schema} TO ${role}`,
          `GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA ${schema} TO ${role}`
        ),
        () => statements(url, `DROP OWNED BY ${role}`, `DROP ROLE ${role}`)
      )
      const as = new URL(url)
      as.username = role
      const application = Postgres.layer({ url: Redacted.make(as.href), schema })
      const refused = yield* Effect.flip(Effect.scoped(Layer.build(application)))
      expect(refused).toMatchObject({ _tag: "StorageError", reason: "readonly" })
      yield* Effect.scoped(Layer.build(Postgres.layer({ url: Redacted.make(url), schema })))
      yield* isKept("0008").pipe(Effect.provide(application))
    }))
})
