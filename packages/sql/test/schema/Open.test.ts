import { Command, Query } from "@caravel/domain"
import { schemaVersion, Sqlite } from "@caravel/sql"
import { SqlClient } from "@effect/sql/SqlClient"
import { describe, expect, it } from "@effect/vitest"
import { Config, ConfigProvider, Effect, Layer, Redacted } from "effect"
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { prepare } from "../../src/sqlite/DatabaseFile.js"
import { frozenFiles, frozenSchemas, frozenSqlite, isKept } from "../fixtures/frozen.js"
import { raw, refusal, temporaryDirectory } from "../fixtures/sqlite.js"
import { synced } from "../fixtures/synced.js"

const pubkey = "a".repeat(64)

describe("opening a database", () => {
  it.scopedLive("creates missing parent directories, and keeps data across openings", () =>
    Effect.gen(function*() {
      const filename = join(yield* temporaryDirectory, "a", "b", "caravel.db")
      const open = Sqlite.layerConfig({ filename: Config.string("DATABASE") }).pipe(
        Layer.provide(Layer.setConfigProvider(ConfigProvider.fromMap(new Map([["DATABASE", filename]]))))
      )
      yield* Effect.provide(Effect.flatMap(Command, (command) => command.createTenant({ pubkey })), open)
      const tenants = yield* Effect.provide(Effect.flatMap(Query, (query) => query.tenants), open)
      expect(tenants.map((tenant) => tenant.pubkey)).toEqual([pubkey])
    }))

  it.scopedLive("creates nothing with create: false, neither a directory nor tables in an empty file or another program's database", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const open = (...names: ReadonlyArray<string>) =>
        Effect.flip(Effect.scoped(Layer.build(Sqlite.layer({ filename: join(directory, ...names), create: false }))))
      writeFileSync(join(directory, "empty.db"), "")
      yield* Effect.scoped(
        Effect.map(raw(join(directory, "other.db")), (database) => database.exec("CREATE TABLE event (id INTEGER)"))
      )
      const files = () => readdirSync(directory).map((name) => [name, readFileSync(join(directory, name))] as const)
      const before = files()
      const missing = yield* open("a", "caravel.db")
      expect(missing).toMatchObject({ _tag: "StorageError", reason: "missing" })
      expect(missing.message).toContain(`there is no file ${join(directory, "a", "caravel.db")}`)
      for (const name of ["empty.db", "other.db"]) {
        const error = yield* open(name)
        expect(error).toMatchObject({ reason: "missing" })
        expect(error.message).toContain(`${join(directory, name)} is not a Caravel database`)
      }
      expect(files()).toEqual(before)
      yield* Effect.scoped(Layer.build(Sqlite.layer({ filename: join(directory, "caravel.db") })))
      yield* Effect.scoped(Layer.build(Sqlite.layer({ filename: join(directory, "caravel.db"), create: false })))
    }))

  it.scopedLive("migrates nothing with migrate: false: an older schema is refused, and the file does not change", () =>
    Effect.gen(function*() {
      const filename = join(yield* temporaryDirectory, "caravel.db")
      yield* Effect.scoped(Effect.map(raw(filename), (database) => database.exec(frozenSqlite("0008"))))
      const before = readFileSync(filename)
      const open = Effect.scoped(Layer.build(Sqlite.layer({ filename, migrate: false })))
      const error = yield* Effect.flip(open)
      expect(error).toMatchObject({ _tag: "StorageError", reason: "older", cause: { _tag: "OlderSchema", found: 8 } })
      expect(error.message).toContain(`the database has schema 8, and this Caravel has ${schemaVersion}`)
      expect(readFileSync(filename)).toEqual(before)
      yield* Effect.scoped(Layer.build(Sqlite.layer({ filename })))
      yield* open
      // There is nothing to migrate in a new one.
      yield* Effect.scoped(Layer.build(Sqlite.layer({ filename: `${filename}.new`, migrate: false })))
    }))

  it.scopedLive("is durable across power loss by default", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const pragma = (name: string, options: Omit<Sqlite.Options, "filename"> = {}) =>
        Effect.flatMap(SqlClient, (sql) => sql.unsafe(`PRAGMA ${name}`)).pipe(
          Effect.map(([row]) => Object.values(row!)[0]),
          Effect.provide(Sqlite.layer({ filename: join(directory, "caravel.db"), ...options }))
        )
      expect(yield* pragma("synchronous")).toBe(2)
      expect(yield* pragma("synchronous", { synchronous: "normal" })).toBe(1)
      expect(yield* pragma("journal_mode")).toBe("wal")
      expect(yield* pragma("foreign_keys")).toBe(1)
    }))

  it.scopedLive("is durable across power loss in a directory that it creates", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const paths = yield* synced
      yield* Layer.build(Sqlite.layer({ filename: join(directory, "a", "b", "caravel.db") }))
      // SQLite itself syncs the directory of its files.
      expect(paths).toEqual([directory, join(directory, "a")])
    }))

  it.scopedLive("reports a file that is not a database", () =>
    Effect.gen(function*() {
      const filename = join(yield* temporaryDirectory, "notes.txt")
      writeFileSync(filename, "these are my notes, and more than a page of them".repeat(100))
      const error = yield* refusal(filename)
      expect(error).toMatchObject({ _tag: "StorageError", reason: "corrupt" })
      expect(error.message).toContain(`${filename}: file is not a database`)
      expect(readFileSync(filename, "utf8")).toContain("these are my notes")
    }))

  it.scopedLive("reports a damaged database", () =>
    Effect.gen(function*() {
      const filename = join(yield* temporaryDirectory, "caravel.db")
      writeFileSync(filename, Buffer.concat([Buffer.from("SQLite format 3\0"), Buffer.alloc(8176, 0xab)]))
      expect(yield* refusal(filename)).toMatchObject({ _tag: "StorageError", reason: "corrupt" })
    }))

  it.scopedLive("reports another program's database", () =>
    Effect.gen(function*() {
      const filename = join(yield* temporaryDirectory, "theirs.db")
      const database = yield* raw(filename)
      database.exec("CREATE TABLE caravel_event (id INTEGER)")
      const error = yield* refusal(filename)
      expect(error).toMatchObject({ _tag: "StorageError", reason: "other" })
      expect(error.message).toContain("table caravel_event already exists")
      expect(database.prepare("SELECT name FROM sqlite_schema WHERE name = 'caravel_relay'").all()).toEqual([])
    }))

  it.scopedLive("refuses a newer schema", () =>
    Effect.gen(function*() {
      const filename = join(yield* temporaryDirectory, "caravel.db")
      yield* Effect.scoped(Layer.build(Sqlite.layer({ filename })))
      const database = yield* raw(filename)
      database.exec("INSERT INTO caravel_migrations (migration_id, name) VALUES (99, 'future')")
      const error = yield* refusal(filename)
      expect(error).toMatchObject({ _tag: "StorageError", reason: "newer" })
      expect(error.message).toContain("the database has schema 99")
      expect(error.message).toContain("use a newer Caravel")
    }))

  it.scopedLive("refuses a directory, a database in memory, and a file as a parent directory", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      writeFileSync(join(directory, "file"), "")
      expect((yield* refusal(":memory:")).message).toContain("use Memory.layer or Sqlite.layerTemporary")
      expect((yield* refusal(directory))._tag).toBe("StorageError")
      expect((yield* refusal(join(directory, "file", "caravel.db")))._tag).toBe("StorageError")
      expect((yield* refusal("/proc/none/deeper/caravel.db"))._tag).toBe("StorageError")
    }))

  it.scopedLive("reports a filename or a key that is not set", () =>
    Effect.gen(function*() {
      const secretKeys = [Redacted.make(undefined as never)]
      const layer = Sqlite.layer({ filename: join(yield* temporaryDirectory, "caravel.db"), secretKeys })
      expect(yield* Effect.flip(Layer.build(layer))).toMatchObject({ _tag: "StorageError", reason: "key" })
      for (const filename of [undefined, null, 5]) {
        const error = yield* refusal(filename as never)
        expect(error._tag).toBe("StorageError")
        expect(error.message).toContain("check whether the environment variable that it comes from is set")
      }
    }))

  it.scopedLive("refuses a URL as a filename, without showing it", () =>
    Effect.gen(function*() {
      for (
        const url of [
          "postgres://user:SECRET@host/db",
          "\"postgres://user:SECRET@host/db\"",
          "'mysql://user:SECRET@host'",
          "file:/tmp/SECRET.db?mode=ro"
        ]
      ) {
        const { message } = yield* refusal(url)
        expect(message).toContain("its filename is a URL")
        expect(message).not.toContain("SECRET")
      }
    }))

  it.scopedLive("reports a read-only directory", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      mkdirSync(join(directory, "closed"), { mode: 0o555 })
      // Root may write anywhere, so root becomes another user for this.
      const isRoot = process.getuid?.() === 0
      yield* Effect.acquireRelease(
        Effect.sync(() => isRoot && process.seteuid?.(65534)),
        () => Effect.sync(() => isRoot && process.seteuid?.(0))
      )
      expect(yield* refusal(join(directory, "closed", "caravel.db"))).toMatchObject({ reason: "readonly" })
      expect(yield* refusal(join(directory, "closed", "deeper", "caravel.db"))).toMatchObject({ reason: "readonly" })
    }).pipe(Effect.scoped))

  it.scopedLive("refuses network file systems", () =>
    Effect.gen(function*() {
      const filename = join(yield* temporaryDirectory, "caravel.db")
      const error = yield* Effect.flip(prepare(filename, () => Promise.resolve({ type: 0x6969 })))
      expect(error.message).toContain("is on a network file system (NFS); use a local disk")
    }))

  it("has each schema but the newest frozen, for both databases", () =>
    expect(frozenFiles(), "CONTRIBUTING.md says under \"A new migration\" how to freeze a schema").toEqual([
      ...frozenSchemas.map((schema) => `${schema}.sql`),
      ...frozenSchemas.map((schema) => `postgres-${schema}.sql`)
    ]))

  it.scopedLive("upgrades each frozen schema to the current one, and keeps its rows", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const schemaOf = (filename: string) =>
        Effect.map(
          raw(filename),
          (database) =>
            database.prepare("SELECT type, name, tbl_name, replace(sql, '\"', '') FROM sqlite_schema ORDER BY name")
              .all()
        )
      const fresh = join(directory, "fresh.db")
      yield* Effect.scoped(Layer.build(Sqlite.layer({ filename: fresh })))
      for (const frozen of frozenSchemas) {
        const filename = join(directory, `${frozen}.db`)
        const database = yield* raw(filename)
        database.exec(frozenSqlite(frozen))
        yield* isKept(frozen).pipe(Effect.provide(Sqlite.layer({ filename })))
        expect(yield* schemaOf(filename)).toEqual(yield* schemaOf(fresh))
        expect(database.pragma("foreign_key_check")).toEqual([])
      }
    }))
})
