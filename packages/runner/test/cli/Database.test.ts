import { schemaVersion } from "@caravel/sql"
import * as PgClient from "@effect/sql-pg/PgClient"
import { SqlClient } from "@effect/sql/SqlClient"
import { afterAll, describe, expect, it } from "@effect/vitest"
import Sqlite3 from "better-sqlite3"
import { Effect, Either, Redacted } from "effect"
import { randomUUID } from "node:crypto"
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { parse } from "../../src/cli/DatabaseName.js"
import { temporary } from "../process.js"
import { program } from "../program.js"

const { path: cwd, remove } = temporary()
afterAll(remove)

const pubkey = "82341f882b6eabcd2ba7f1ef90aad961cf074af15b9ef44a09f9d2a8fbfbe6a2"
const backup = join(cwd, "backup.db")

const reading = [
  ["verify"],
  ["rebuild"],
  ["rebuild", "--yes"],
  ["relay"],
  ["relay", "a"],
  ["tenant"],
  ["activity"],
  ["history", "relay", "a"],
  ["diff", "0", "now"],
  ["usage", pubkey],
  ["epochs"],
  ["consumers"],
  ["consumers", "parked", "mail"],
  ["consumers", "replay", "mail"],
  ["consumers", "drop", "mail", "--yes"],
  ["consumers", "reset", "mail", "--to", "0", "--yes"],
  ["secrets", "erase", pubkey, "--yes"],
  ["backup", backup]
]
const writing = [["create-tenant", "--pubkey", pubkey], ["set-tenant-past-due", "--pubkey", pubkey], [
  "run",
  join(cwd, "commands.jsonl")
]]
writeFileSync(join(cwd, "commands.jsonl"), JSON.stringify({ _tag: "CreateTenant", pubkey }))

describe("a database that is not there", () => {
  it("is named and not created: by what reads, nor by what writes without --create", async () => {
    const filename = join(cwd, "mistyped", "caravel.db")
    for (const args of [...reading, ...writing]) {
      const { code, stderr, stdout } = await program([...args, "--database", filename])
      expect({ code, stdout }, args.join(" ")).toEqual({ code: 1, stdout: "" })
      expect(stderr, args.join(" ")).toContain(`there is no file ${filename}`)
    }
    expect(readdirSync(cwd)).toEqual(["commands.jsonl"])
  }, 60_000)

  it("is not made of an empty file, nor of another program's database", async () => {
    const filename = join(cwd, "empty.db")
    writeFileSync(filename, "")
    for (const args of [...reading, ...writing]) {
      const { code, stderr } = await program([...args, "--database", filename])
      expect(code, args.join(" ")).toBe(1)
      expect(stderr, args.join(" ")).toContain(`${filename} is not a Caravel database`)
    }
    expect(readFileSync(filename, "utf8")).toBe("")
  }, 60_000)

  it("is created by init, by --create and by mode=rwc", async () => {
    const database = join(cwd, "new", "caravel.db")
    const init = () => program(["init", "--database", database], { isTerminal: true })
    expect(await init()).toMatchObject({ code: 0, stdout: `Created ${database}` })
    expect(await init()).toMatchObject({ code: 0, stdout: `There is a database already: ${database}` })
    expect((await program(["verify", "--database", database])).json).toMatchObject([{ ok: true, events: 0 }])
    for (
      const name of [["--create", "--database", join(cwd, "a.db")], [
        "--database",
        `file:${join(cwd, "b.db")}?mode=rwc`
      ]]
    ) {
      expect((await program(["create-tenant", "--pubkey", pubkey, ...name])).code).toBe(0)
    }
    expect(existsSync(join(cwd, "b.db"))).toBe(true)
    const url = `file://${join(cwd, "b.db").replace("b", "%62")}?mode=ro`
    expect((await program(["tenant", "--database", url])).json).toHaveLength(1)
    expect(await program(["create-tenant", "--pubkey", pubkey, "--database", url])).toMatchObject({
      code: 1,
      stderr: `caravel: ${join(cwd, "b.db")} cannot be changed: its name has mode=ro`
    })
  }, 60_000)
})

const frozen = new URL("../../../sql/test/frozen/", import.meta.url)

/** A database of schema 8. */
const older = (filename: string) => {
  const database = new Sqlite3(filename)
  database.exec(readFileSync(new URL("0008.sql", frozen), "utf8"))
  database.close()
}

describe("a database with an older schema", () => {
  it("is refused by what reads, which names caravel migrate and changes nothing", async () => {
    const filename = join(cwd, "older.db")
    older(filename)
    const before = readFileSync(filename)
    const reads = reading.filter(([name, word = ""]) =>
      !["rebuild", "secrets", "backup"].includes(name!) && !["replay", "drop", "reset"].includes(word)
    )
    for (const args of reads) {
      const { code, stderr, stdout } = await program([...args, "--database", filename])
      expect({ code, stdout }, args.join(" ")).toEqual({ code: 1, stdout: "" })
      expect(stderr, args.join(" ")).toBe(
        `caravel: the database has schema 8, and this Caravel has ${schemaVersion}; migrate it with caravel migrate`
      )
    }
    for (const args of [["migrate", "--dry-run"], ["backup", join(cwd, "older-backup.db")]]) {
      expect((await program([...args, "--database", filename])).code, args[0]).toBe(0)
    }
    expect(readFileSync(filename)).toEqual(before)
  }, 60_000)

  it("is not migrated by caravel init, or by what has not been confirmed", async () => {
    const filename = join(cwd, "unconfirmed.db")
    older(filename)
    const before = readFileSync(filename)
    const run = (...args: ReadonlyArray<string>) => program([...args, "--database", filename])
    expect((await run("init")).json).toEqual([{ ok: true, created: false }])
    for (
      const args of [["rebuild"], ["secrets", "erase", pubkey], ["consumers", "drop", "a"], [
        "consumers",
        "reset",
        "a",
        "--to",
        "0"
      ]]
    ) {
      expect((await run(...args)).stderr, args.join(" ")).toContain("migrate it with caravel migrate")
    }
    expect(readFileSync(filename)).toEqual(before)
    expect((await run("rebuild", "--yes")).code).toBe(0)
    expect((await run("migrate", "--dry-run")).json).toMatchObject([{ from: schemaVersion }])
  }, 60_000)

  it("is migrated by caravel migrate, which says from where to where", async () => {
    const filename = join(cwd, "migrated.db")
    older(filename)
    const migrate = (...args: ReadonlyArray<string>) => program(["migrate", ...args, "--database", filename])
    const to = schemaVersion
    expect((await migrate("--dry-run")).json).toEqual([{ ok: true, dryRun: true, from: 8, to }])
    expect((await program(["migrate", "--database", `file:${filename}?mode=ro`])).stderr).toContain("mode=ro")
    expect(await program(["migrate", "--dry-run", "--database", filename], { isTerminal: true })).toMatchObject({
      code: 0,
      stdout: `Would migrate the schema from version 8 to ${to}`
    })
    expect((await migrate()).json).toEqual([{ ok: true, dryRun: false, from: 8, to }])
    expect((await migrate()).json).toEqual([{ ok: true, dryRun: false, from: to, to }])
    expect((await program(["verify", "--database", filename])).json).toMatchObject([{ ok: true }])
    expect(await program(["migrate", "--database", join(cwd, "none.db")])).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("there is no file")
    })
  }, 60_000)
})

const server = process.env["CARAVEL_TEST_POSTGRES_URL"]

describe.skipIf(server === undefined)("a PostgreSQL database without Caravel's tables", () => {
  it("gets none from what reads, nor from what writes without --create", async () => {
    const schema = `caravel_test_${randomUUID().replaceAll("-", "")}`
    const url = new URL(server!)
    url.searchParams.set("options", `-c search_path=${schema}`)
    await Effect.gen(function*() {
      const sql = yield* SqlClient
      yield* Effect.acquireRelease(
        sql`CREATE SCHEMA ${sql(schema)}`,
        () => Effect.orDie(sql`DROP SCHEMA ${sql(schema)} CASCADE`)
      )
      yield* Effect.promise(async () => {
        for (const args of [["verify"], ["relay"], ["consumers"], ["backup", backup], ...writing]) {
          const { code, stderr } = await program([...args, "--database", url.href])
          expect(code, args.join(" ")).toBe(1)
          expect(stderr, args.join(" ")).toContain("the database has no Caravel tables")
        }
      })
      expect(yield* sql`SELECT 1 FROM pg_tables WHERE schemaname = ${schema}`).toEqual([])
      yield* Effect.promise(async () => {
        expect((await program(["init", "--database", url.href])).json).toEqual([{ ok: true, created: true }])
        expect((await program(["verify", "--database", url.href])).json).toMatchObject([{ ok: true }])
      })
    }).pipe(
      Effect.scoped,
      Effect.provide(PgClient.layer({ url: Redacted.make(server!) })),
      Effect.runPromise
    )
  }, 60_000)
})

describe("the name of a database", () => {
  it("is a path, a file: URL or a URL of PostgreSQL's", () => {
    const files = {
      "data/a.db": { filename: "data/a.db" },
      "./a:b.db": { filename: "./a:b.db" },
      "C:\\a.db": { filename: "C:\\a.db" },
      "file:a.db": { filename: "a.db" },
      "file:/a%20b.db": { filename: "/a b.db" },
      "file:///a.db": { filename: "/a.db" },
      "FILE://localhost/a.db?mode=ro": { filename: "/a.db", mode: "ro" },
      "file:a.db?mode=rwc": { filename: "a.db", mode: "rwc" }
    }
    for (const [text, database] of Object.entries(files)) expect(parse(text)).toEqual(Either.right(database))
    for (const text of ["postgres://u:hush@h/d", "postgresql://h"]) {
      expect(Either.map(parse(text), (name) => "url" in name && Redacted.value(name.url))).toEqual(Either.right(text))
    }
  })

  it("is refused by name if it is another one, without its password", async () => {
    const refused = {
      "sqlite:/x": "begins with sqlite:",
      "mysql://u:hush@h/x": "begins with mysql:",
      "postgress://u:hush@h/x": "begins with postgress:",
      "\"postgres://u:hush@h/x\"": "begins with a quotation mark",
      " postgres://u:hush@h/x": "white space",
      "data.db\r": "white space",
      "file:/data.db%20": "white space",
      "file:%0Adata.db?mode=ro": "white space",
      "u:hush@h/x": "neither a path nor a URL",
      "postgres//u:hush@h/x": "neither a path nor a URL",
      "": "is empty",
      ":memory:": "in memory",
      "file::memory:": "in memory",
      "file:x?mode=memory": "mode=",
      "file:x?cache=shared": "cache=",
      "file:x?mode=ro&mode=rw": "mode=",
      "file://host/x": "with a host",
      "file:x#y": "fragment",
      "file:%zz": "%25",
      "file:": "without a path"
    }
    for (const [text, why] of Object.entries(refused)) {
      expect(Either.flip(parse(text)), text).toEqual(Either.right(expect.stringContaining(why)))
      expect(Either.getOrThrow(Either.flip(parse(text)))).not.toContain("hush")
    }
    expect(await program(["verify", "--database", "mysql://u:hush@h/x"])).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^caravel: --database begins with mysql:/)
    })
    expect(await program(["verify"], { env: { CARAVEL_DATABASE: "mysql://u:hush@h/x" } })).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^caravel: CARAVEL_DATABASE begins with mysql:/)
    })
    expect((await program(["copy", "sqlite:/x", join(cwd, "x.db")])).stderr).toMatch(
      /^caravel: FROM begins with sqlite:/
    )
    expect((await program(["backup", "postgres://u:hush@h/x"])).stderr).toBe(
      "caravel: FILE is a URL; give the path of an SQLite file"
    )
    expect((await program(["verify", "--database", cwd])).stderr).toContain(`${cwd} is a directory`)
  })
})
