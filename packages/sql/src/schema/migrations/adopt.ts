import { SqlClient } from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import { Array as Arr, Effect } from "effect"
import { activity } from "./0001_journal.js"

/** The tables of a database by name, each with the names of its columns. */
export type Tables = ReadonlyMap<string, ReadonlySet<string>>

/** Selects, for SQLite, each table's name and the names of its columns as a JSON array. */
export const selectTables = `SELECT name AS "table",
    (SELECT json_group_array(pragma_table_info.name) FROM pragma_table_info(sqlite_schema.name)) AS "columns"
  FROM sqlite_schema WHERE type = 'table'`

/** Decodes what `selectTables` selects. */
export const decodeTables = (rows: ReadonlyArray<unknown>): Tables =>
  new Map((rows as ReadonlyArray<Row>).map(({ columns, table }) => [table, new Set<string>(JSON.parse(columns))]))

interface Row {
  readonly table: string
  readonly columns: string
}

/** The tables of each migration before names had a prefix, with columns that distinguish them from an application's. */
const made: ReadonlyArray<readonly [name: string, tables: { readonly [table: string]: ReadonlyArray<string> }]> = [
  ["journal", {
    event: ["position", "activity_type", "resource_version", "payload", "metadata"],
    secret: ["id", "value"],
    tenant: ["pubkey", "nwc_url", "version"],
    relay: ["id", "subdomain", "sync_error", "version"]
  }],
  ["consumer", {
    consumer: ["name", "replays_done"],
    lease: ["consumer", "fence", "heartbeat"],
    parked: ["consumer", "position", "parked_at"]
  }],
  ["schema_version", {}],
  ["idempotency", { idempotency: ["identity", "refusal"] }],
  ["epoch", { epoch: ["number", "epoch", "started_at"] }],
  ["secret_key", {}],
  ["import", { import: ["source", "items", "finished_at"], import_refusal: ["import", "item", "kind"] }],
  ["in_epoch", {}]
]

const shared = "effect_sql_migrations"

/** The names of tables by which Caravel recognizes its own. */
const known = [
  shared,
  ...["migrations", ...made.flatMap(([, tables]) => Object.keys(tables))].flatMap((name) => [name, `caravel_${name}`])
]

/** Looks up each name by itself, so that its cost does not grow with the number of tables in the server's database. */
const selectPostgresTables = `SELECT nspname AS schema, relname AS "table",
    (SELECT json_agg(attname)::text FROM pg_attribute WHERE attrelid = pg_class.oid AND attnum > 0 AND NOT attisdropped)
      AS "columns"
  FROM unnest(current_schemas(false)) WITH ORDINALITY AS path (name, place) JOIN pg_namespace ON nspname = path.name
    JOIN pg_class ON relnamespace = pg_namespace.oid AND relname = ANY ($1)
  WHERE relkind IN ('r', 'p') AND nspname = coalesce($2, nspname) ORDER BY place`

interface RowInSchema extends Row {
  readonly schema: string
}

/** A schema in which statements find tables, and these tables. */
interface Schema {
  /** Undefined on SQLite, and if the tables are in several schemas. */
  readonly schema: string | undefined
  readonly tables: Tables
}

/** The schemas of the search path in its order, or only this one of them, with those tables that have known names. */
const postgresSchemas = (only: string | undefined) =>
  Effect.gen(function*() {
    const sql = yield* SqlClient
    const rows = (yield* sql.unsafe(selectPostgresTables, [known, only ?? null])) as ReadonlyArray<RowInSchema>
    const names = Arr.dedupe(rows.map(({ schema }) => schema))
    return [
      ...names.map((schema): Schema => ({
        schema,
        tables: decodeTables(rows.filter((row) => row.schema === schema))
      })),
      // A table hides those with the same name in later schemas.
      { schema: undefined, tables: decodeTables(rows.toReversed()) }
    ]
  })

const sqliteSchemas = Effect.flatMap(SqlClient, (sql) =>
  Effect.map(
    sql.unsafe(selectTables),
    (rows): ReadonlyArray<Schema> => [{ schema: undefined, tables: decodeTables(rows) }]
  ))

const hasShape = (tables: Tables, shape: { readonly [table: string]: ReadonlyArray<string> }) =>
  Object.entries(shape).every(([table, columns]) => columns.every((column) => tables.get(table)?.has(column)))

/** Whether a database has Caravel's tables, with the prefix or without, perhaps beside other tables. */
export const isCaravel = (tables: Tables): boolean =>
  ["migrations", "event", "tenant", "relay"].every((name) => tables.has(`caravel_${name}`)) ||
  tables.has(shared) && hasShape(tables, made[0]![1])

/** The migrations that Caravel has made under names without a prefix, and all in the table that it shared for them. */
interface Unprefixed {
  readonly own: typeof made
  readonly rows: ReadonlyArray<unknown>
}

const unprefixed = ({ schema, tables }: Schema): Effect.Effect<Unprefixed | undefined, SqlError, SqlClient> =>
  Effect.gen(function*() {
    const sql = yield* SqlClient
    if (!isCaravel(tables)) return undefined
    const from = sql.literal(schema === undefined ? shared : `"${schema.replaceAll("\"", "\"\"")}".${shared}`)
    const rows = yield* sql`SELECT migration_id AS id, name FROM ${from} ORDER BY migration_id`
    const own = made.filter(([name], index) =>
      rows.some((row) => Number(row["id"]) === index + 1 && row["name"] === name)
    )
    return own[0] === made[0] && own.every(([, shape]) => hasShape(tables, shape)) ? { own, rows } : undefined
  })

/** The schema with Caravel's tables. */
export interface Home extends Schema {
  /** Undefined if their names have the prefix. */
  readonly unprefixed: Unprefixed | undefined
}

/**
 * Finds Caravel's tables, of any version. On PostgreSQL they are in a schema of the search path, or only in the given one.
 * A schema before theirs may have been created later, and may have an application's tables.
 */
export const home = (only: string | undefined): Effect.Effect<Home | undefined, SqlError, SqlClient> =>
  Effect.gen(function*() {
    const sql = yield* SqlClient
    const schemas = yield* sql.onDialectOrElse({ pg: () => postgresSchemas(only), orElse: () => sqliteSchemas })
    const prefixed = schemas.find(({ tables }) => tables.has("caravel_migrations"))
    if (prefixed !== undefined) return { ...prefixed, unprefixed: undefined }
    for (const schema of schemas) {
      const found = yield* unprefixed(schema)
      if (found !== undefined) return { ...schema, unprefixed: found }
    }
    return undefined
  })

/**
 * Renames everything that Caravel created in a database from before names had a prefix, and moves its migrations out of
 * the table that `@effect/sql` shares with the application. Everything else is left unchanged, and renamed objects keep
 * their privileges. On PostgreSQL, the schema of the tables, if they are in one, must be the only one of the search path.
 */
export const adopt = Effect.fnUntraced(function*({ unprefixed: found }: Home) {
  const sql = yield* SqlClient
  if (found === undefined) return
  const { own, rows } = found

  const run = (statement: string) => sql.unsafe(statement)
  const names = own.flatMap(([, shape]) => Object.keys(shape))
  for (const name of names) yield* run(`ALTER TABLE ${name} RENAME TO caravel_${name}`)
  if (own.length === rows.length) {
    yield* run(`ALTER TABLE ${shared} RENAME TO caravel_migrations`)
  } else {
    const isOwn = `WHERE migration_id <= ${own.length}`
    yield* createMigrations
    yield* run(`INSERT INTO caravel_migrations (migration_id, created_at, name)
      SELECT migration_id, created_at, name FROM ${shared} ${isOwn}`)
    yield* run(`DELETE FROM ${shared} ${isOwn}`)
  }
  yield* sql.onDialectOrElse({ pg: () => adoptPostgres([...names, "migrations"]), orElse: () => adoptSqlite })
})

/** Creates the table of migrations as the migrator would. */
export const createMigrations = Effect.flatMap(
  SqlClient,
  (sql) =>
    sql.unsafe(`CREATE TABLE IF NOT EXISTS caravel_migrations (
  migration_id integer PRIMARY KEY NOT NULL,
  created_at ${
      sql.onDialectOrElse({
        pg: () => "timestamp with time zone NOT NULL DEFAULT now()",
        orElse: () => "datetime NOT NULL DEFAULT current_timestamp"
      })
    },
  name ${sql.onDialectOrElse({ pg: () => "text", orElse: () => "VARCHAR(255)" })} NOT NULL
)`)
)

/** Views, indexes and triggers. */
const others = [
  "activity",
  "event_tenant",
  "tenant_nwc_url",
  "relay_tenant",
  "parked_resource",
  "idempotency_created_at",
  "secret_key_id",
  "event_unchanged",
  "event_undeleted",
  "secret_encrypted"
]

/** Creates them again from their SQL, in which SQLite has renamed the tables. */
const adoptSqlite = Effect.gen(function*() {
  const sql = yield* SqlClient
  const found = yield* sql`SELECT type, name, sql FROM sqlite_schema WHERE type <> 'table' AND ${
    sql.in("name", others)
  }`
  for (const { name, sql: text, type } of found) {
    yield* sql.unsafe(`DROP ${type} ${name}`)
    yield* sql.unsafe(String(text).replaceAll("\"", "").replace(`${name}`, `caravel_${name}`))
  }
})

const adoptPostgres = (tables: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    const sql = yield* SqlClient
    // The objects that the server named after a table. A constraint's index is renamed with it.
    const found = yield* sql.unsafe(
      `SELECT 'TABLE ' || conrelid::regclass || ' RENAME CONSTRAINT ' || quote_ident(conname) AS what, conname AS name
        FROM pg_constraint, unnest($1::text[]) AS owner
        WHERE conrelid = to_regclass('caravel_' || owner) AND starts_with(conname, owner || '_')
      UNION ALL SELECT 'TABLE caravel_migrations RENAME CONSTRAINT ' || conname, 'migrations_pkey'
        FROM pg_constraint WHERE conrelid = to_regclass('caravel_migrations') AND conname = '${shared}_pkey'
      UNION ALL SELECT 'TRIGGER ' || tgname || ' ON ' || tgrelid::regclass || ' RENAME', tgname
        FROM pg_trigger, unnest($1::text[]) AS owner
        WHERE tgrelid = to_regclass('caravel_' || owner) AND tgname = ANY ($2)
      UNION ALL SELECT CASE relkind WHEN 'v' THEN 'VIEW ' WHEN 'S' THEN 'SEQUENCE ' ELSE 'INDEX ' END || oid::regclass || ' RENAME', relname
        FROM pg_class WHERE pg_table_is_visible(oid) AND relname = ANY ($2) AND relkind IN ('v', 'i', 'S')
      UNION ALL SELECT 'FUNCTION ' || oid::regprocedure || ' RENAME', proname
        FROM pg_proc WHERE pg_function_is_visible(oid) AND proname = ANY ($3)`,
      [tables, [...others, "epoch_number_seq"], ["event_is_append_only", "secret_is_encrypted", "in_epoch"]]
    )
    for (const row of found as ReadonlyArray<{ readonly name: string; readonly what: string }>) {
      yield* sql.unsafe(`ALTER ${row.what} TO caravel_${row.name}`)
    }
    // Otherwise the view would keep the table's old name as an alias.
    yield* sql`CREATE OR REPLACE VIEW caravel_activity AS ${sql.literal(activity)}`
    // The bodies of these functions name tables.
    const functions = yield* sql`SELECT pg_get_functiondef(oid) AS text FROM pg_proc
      WHERE pg_function_is_visible(oid) AND proname IN ('caravel_secret_is_encrypted', 'caravel_in_epoch')`
    for (const { text } of functions) {
      yield* sql.unsafe(
        String(text).replace(/\bFROM (secret|epoch)\b/g, "FROM caravel_$1").replace(
          "'event'::regclass",
          "'caravel_event'::regclass"
        )
      )
    }
  })
