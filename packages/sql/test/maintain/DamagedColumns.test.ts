/**
 * For every value in every column, each reader works or fails with a typed error: no defect, and no endless waiting.
 */
import { LongRun } from "@caravel/conformance"
import { Journal } from "@caravel/domain"
import { Sqlite } from "@caravel/sql"
import { SqlClient } from "@effect/sql/SqlClient"
import { describe, expect, it } from "@effect/vitest"
import SqliteDatabase from "better-sqlite3"
import { Cause, Chunk, Effect, Exit, FastCheck as fc, Layer, Logger, Option, Predicate, Schema, Stream } from "effect"
import { copyFileSync, existsSync } from "node:fs"
import { join } from "node:path"
import { furnish, uses } from "../fixtures/furnished.js"
import { layerTemporary, withPostgres } from "../fixtures/postgres.js"
import { temporaryDirectory } from "../fixtures/sqlite.js"

const values: ReadonlyArray<unknown> = [
  null,
  "",
  "x",
  "\ufffd\u{10ffff}",
  "{",
  "[]",
  "{\"status\":\"SECRET\"}",
  0,
  -1,
  1.5,
  7,
  9e15,
  -9e15,
  Buffer.from([0xff, 0, 0xfe]),
  // Text that is not valid UTF-8.
  { invalid: true }
]

/** Calls of all services. Each returns its problem, if there is one: a defect, an untyped error, or no end. */
const faults = Effect.gen(function*() {
  const wrong: Array<string> = []
  // @effect-diagnostics-next-line anyUnknownInErrorContext:off
  for (const [name, use] of Object.entries(uses)) {
    // @effect-diagnostics-next-line anyUnknownInErrorContext:off
    const exit = yield* Effect.exit(Effect.timeoutOption(use, "20 seconds"))
    if (Exit.isSuccess(exit)) {
      if (Option.isNone(exit.value)) wrong.push(`${name} does not end`)
      continue
    }
    const error = Cause.failureOption(exit.cause)
    const isTyped = Option.exists(error, Predicate.hasProperty("_tag"))
    if (!isTyped && !(Option.isSome(error) && error.value === "no")) wrong.push(`${name}: ${Cause.pretty(exit.cause)}`)
  }
  return wrong
})

/** Whether a verification reports a drift, or fails. */
const isFound = Effect.flatMap(Journal, ({ verify }) => Stream.runCollect(verify)).pipe(
  Effect.map(Chunk.some(({ differences }) => differences.length > 0)),
  Effect.orElseSucceed(() => true)
)

const Column = Schema.Struct({ table: Schema.String, column: Schema.String })
type Column = typeof Column.Type
const decodeColumns = Schema.decodeUnknown(Schema.Array(Column))

interface Damage extends Column {
  readonly value: unknown
}

const shown = ({ column, table, value }: Damage) => `${table}.${column} = ${JSON.stringify(value)}`

/** Everything in a long run, otherwise a fixed sample. */
const sampled = (all: ReadonlyArray<Damage>, usual: number): ReadonlyArray<Damage> => {
  const size = LongRun.count("CARAVEL_DAMAGED_COLUMNS", { usual, long: all.length })
  const [shuffled = []] = fc.sample(fc.shuffledSubarray([...all], { minLength: all.length }), {
    numRuns: 1,
    seed: LongRun.seed
  })
  return shuffled.slice(0, size)
}

const quiet = Logger.replace(Logger.defaultLogger, Logger.none)

describe("damaged columns: SQLite", () => {
  /** Stores a value in a file's row, past all checks. */
  const inflict = (filename: string, { column, table, value }: Damage) => {
    const database = new SqliteDatabase(filename)
    database.unsafeMode(true)
    database.pragma("foreign_keys = OFF")
    database.pragma("ignore_check_constraints = ON")
    const triggers = database.prepare("SELECT name FROM sqlite_schema WHERE type = 'trigger'").pluck().all()
    for (const trigger of triggers) database.exec(`DROP TRIGGER ${String(trigger)}`)
    database.pragma("writable_schema = ON")
    const [schema] = database.prepare("SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = ?").pluck().all(
      table
    )
    const rewrite = database.prepare("UPDATE sqlite_schema SET sql = ? WHERE type = 'table' AND name = ?")
    const loose = String(schema).replace(/ STRICT,/, "").replace(/ STRICT$/, "").replace(/ NOT NULL/g, "")
    rewrite.run(loose, table)
    database.close()

    const writing = new SqliteDatabase(filename)
    writing.unsafeMode(true)
    writing.pragma("foreign_keys = OFF")
    writing.pragma("ignore_check_constraints = ON")
    const isInvalid = Predicate.hasProperty(value, "invalid")
    let isDone = true
    try {
      const expression = isInvalid ? "CAST(x'66ff' AS TEXT)" : "?"
      const key = String(writing.prepare(`SELECT name FROM pragma_table_info(?) WHERE pk = 1`).pluck().get(table))
      writing.prepare(`UPDATE ${table} SET ${column} = ${expression} WHERE ${key} = (SELECT max(${key}) FROM ${table})`)
        .run(...(isInvalid ? [] : [value]))
    } catch {
      // Not every value is possible in a key.
      isDone = false
    }
    writing.pragma("writable_schema = ON")
    writing.prepare("UPDATE sqlite_schema SET sql = ? WHERE type = 'table' AND name = ?").run(schema, table)
    writing.close()
    return isDone
  }

  it.scopedLive("are read as they are, or refused with a typed error", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const template = join(directory, "template.db")
      yield* Effect.provide(furnish, Sqlite.layer({ filename: template }))
      expect(existsSync(`${template}-wal`)).toBe(false)
      const database = new SqliteDatabase(template, { readonly: true })
      const columns = database.prepare(`SELECT s.name AS "table", c.name AS "column"
        FROM sqlite_schema s JOIN pragma_table_info(s.name) c
        WHERE s.type = 'table' AND s.name LIKE 'caravel\\_%' ESCAPE '\\' AND s.name <> 'caravel_migrations'
        ORDER BY 1, 2`).all() as ReadonlyArray<Column>
      database.close()
      expect(columns.length).toBeGreaterThan(80)
      const all = [
        ...columns.flatMap((column) => values.map((value) => ({ ...column, value }))),
        ...[null, "x", 0, 9e18].map((value) => ({ table: "sqlite_sequence", column: "seq", value }))
      ]
      const wrong: Array<string> = []
      const damages = sampled(all, 24)
      for (const [n, damage] of damages.entries()) {
        const filename = join(directory, `${n % 2}.db`)
        copyFileSync(template, filename)
        if (!inflict(filename, damage)) continue
        const exit = yield* Effect.exit(
          Effect.gen(function*() {
            const found = yield* isFound
            // SQLite's own check at least reports a value that a STRICT column cannot hold.
            if (Buffer.isBuffer(damage.value) && !found) wrong.push(`${shown(damage)}: not found`)
            for (const fault of yield* faults) wrong.push(`${shown(damage)}: ${fault}`)
          }).pipe(Effect.provide(Layer.provideMerge(Sqlite.layer({ filename }), quiet)))
        )
        const isTyped = Exit.isSuccess(exit) || Option.isSome(Cause.failureOption(exit.cause))
        if (!isTyped) wrong.push(`${shown(damage)}: ${Cause.pretty(exit.cause)}`)
      }
      expect(wrong).toEqual([])
    }), LongRun.timeout(300_000))
})

withPostgres("damaged columns: PostgreSQL", (url) => {
  const unguarded = `DO $$ DECLARE guard record; BEGIN
    FOR guard IN SELECT conrelid::regclass AS table, conname FROM pg_constraint
      WHERE contype IN ('c', 'f') AND connamespace = current_schema()::regnamespace
    LOOP EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', guard.table, guard.conname); END LOOP;
    FOR guard IN SELECT attrelid::regclass AS table, attname FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
      WHERE attnotnull AND attnum > 0 AND relkind = 'r' AND relnamespace = current_schema()::regnamespace
        AND NOT EXISTS (SELECT 1 FROM pg_index WHERE indrelid = attrelid AND indisprimary AND attnum = ANY (indkey))
    LOOP EXECUTE format('ALTER TABLE %s ALTER COLUMN %I DROP NOT NULL', guard.table, guard.attname); END LOOP;
  END $$`

  it.live("are read as they are, or refused with a typed error", () =>
    Effect.gen(function*() {
      const columnsOf = Effect.flatMap(SqlClient, (sql) =>
        sql.unsafe(`SELECT table_name AS "table", column_name AS "column" FROM information_schema.columns
          WHERE table_schema = current_schema() AND table_name LIKE 'caravel\\_%'
            AND table_name NOT IN ('caravel_migrations', 'caravel_activity') ORDER BY 1, 2`))
      const columns = yield* Effect.flatMap(Effect.provide(columnsOf, layerTemporary(url)), decodeColumns)
      expect(columns.length).toBeGreaterThan(80)
      const stored = values.filter((value) =>
        typeof value !== "object" || value === null
      )
      const all = columns.flatMap((column) => stored.map((value) => ({ ...column, value })))
      const wrong: Array<string> = []
      for (const damage of sampled(all, 4)) {
        const { column, table, value } = damage
        yield* Effect.gen(function*() {
          const sql = yield* SqlClient
          yield* furnish
          yield* sql.unsafe(unguarded)
          const inflicted = yield* Effect.either(sql.withTransaction(Effect.zipRight(
            sql`SET LOCAL session_replication_role = replica`,
            sql.unsafe(
              `UPDATE ${table} SET ${column} = $1 WHERE ctid = (SELECT max(ctid) FROM ${table})`,
              [value as string | number | null]
            )
          )))
          if (inflicted._tag === "Left") return
          for (const fault of yield* faults) wrong.push(`${shown(damage)}: ${fault}`)
        }).pipe(Effect.provide(Layer.provideMerge(layerTemporary(url), quiet)))
      }
      expect(wrong).toEqual([])
    }), LongRun.timeout(300_000))
})
