import { Sqlite } from "@caravel/sql"
import { SqlClient } from "@effect/sql/SqlClient"
import { afterAll, beforeAll, describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { existsSync } from "node:fs"
import { join } from "node:path"
import { caravel, temporary } from "../process.js"
import { program } from "../program.js"

const { path: cwd, remove } = temporary()
afterAll(remove)

const filename = join(cwd, "caravel.db")
const source = join(cwd, "old.db")
const tenant = "82341f882b6eabcd2ba7f1ef90aad961cf074af15b9ef44a09f9d2a8fbfbe6a2"

/** Another program's database; made here, as there is no driver but ours. */
const statements = [
  "DROP TABLE caravel_migrations",
  "CREATE TABLE tenant (pubkey TEXT, created_at INTEGER, nwc_url TEXT)",
  `INSERT INTO tenant VALUES ('${tenant}', 1600000000, 'nostr+walletconnect://b0b5ecre7')`,
  "CREATE TABLE relay (id TEXT, tenant TEXT, subdomain TEXT, status TEXT, created_at INTEGER, colour TEXT)",
  `INSERT INTO relay VALUES ('a', '${tenant}', 'a', 'active', 1600000000, 'blue'),
    ('b', '${tenant}', 'nostr+walletconnect://b0b5ecre7', 'active', 1600000000, 'blue')`,
  `CREATE TABLE activity (
    id TEXT, tenant TEXT, created_at INTEGER, activity_type TEXT, resource_type TEXT, resource_id TEXT
  )`,
  `INSERT INTO activity VALUES ('1', '${tenant}', 1600000000, 'create_relay', 'relay', 'a'),
    ('2', '${tenant}', 1600000001, 'create_relay', 'relay', 'b')`
]

beforeAll(
  () =>
    Effect.flatMap(SqlClient, (sql) => Effect.forEach(statements, (statement) => sql.unsafe(statement))).pipe(
      Effect.provide(Sqlite.layer({ filename: source })),
      Effect.runPromise
    ),
  60_000
)

const run = (...args: ReadonlyArray<string>) => program([...args, "--database", filename])
const shown = (...args: ReadonlyArray<string>) => program([...args, "--database", filename], { isTerminal: true })

const refusals = [
  "activity 2  The relay b is refused: subdomain: Expected a subdomain of 1 to 63 of a-z, 0-9 and -, without - at either end, got \"<redacted>\"",
  "relay b  subdomain: Expected a subdomain of 1 to 63 of a-z, 0-9 and -, without - at either end, got \"<redacted>\""
]

describe("import", () => {
  it("says what it would do, does it, and says it again", async () => {
    const notes = [
      "1 activity ids are not UUIDs: they were replaced, and kept as causationId",
      "Unknown columns were ignored: relay.colour"
    ]
    const numbers = "1 tenant, 1 relay and 1 activity; refused 2 rows"
    const tried = await shown("import", source, "--dry-run")
    expect(tried).toMatchObject({ code: 1, stderr: "" })
    expect(tried.stdout.split("\n")).toEqual([...refusals, `Would import ${numbers}`, ...notes])
    expect(existsSync(filename)).toBe(false)
    for (let n = 0; n < 2; n++) {
      const { code, stdout } = await shown("import", source)
      expect({ code, stdout: stdout.split("\n") }).toEqual({
        code: 1,
        stdout: [...refusals, `Imported ${numbers}`, ...notes]
      })
    }
    expect(await run("verify")).toMatchObject({
      code: 0,
      json: [{ ok: true, events: 2, tenants: 1, relays: 1, secrets: 1 }]
    })
  }, 60_000)

  it("gives programs JSON lines, and no secrets", async () => {
    const { code, json, stderr, stdout } = await caravel(cwd, ["import", "old.db", "--database", "other.db"])
    expect({ code, stderr }).toEqual({ code: 1, stderr: "" })
    expect(stdout).not.toContain("b0b5ecre7")
    expect(json).toMatchObject([
      { table: "activity", key: "2", kind: "dependent" },
      { table: "relay", key: "b", kind: "malformed" },
      {
        ok: false,
        dryRun: false,
        items: 5,
        tenants: 1,
        relays: 1,
        activities: 1,
        refused: 2,
        ignored: ["relay.colour"]
      }
    ])
  }, 60_000)

  it("says in one line why a file cannot be imported", async () => {
    expect(await run("import", filename)).toMatchObject({
      code: 1,
      stdout: "",
      stderr: `caravel: ${filename} is a database of this Caravel already: name it with --database, or copy the file`
    })
    for (const [file, reason] of [["none.db", "there is no such file"], [cwd, "it is a directory"]]) {
      expect(await caravel(cwd, ["import", file!, "--database", "unmade.db"])).toMatchObject({
        code: 1,
        stderr: `caravel: ${file} cannot be read: ${reason}\n`
      })
      expect(existsSync(join(cwd, "unmade.db"))).toBe(false)
    }
  }, 60_000)
})
