/** What docs/postgresql.md tells to do, done as it stands there, line by line. */
import * as PgClient from "@effect/sql-pg/PgClient"
import { SqlClient } from "@effect/sql/SqlClient"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { randomUUID } from "node:crypto"
import { readFileSync } from "node:fs"
import { temporary } from "./process.js"
import { program } from "./program.js"

const server = process.env["CARAVEL_TEST_POSTGRES_URL"]

if (server === undefined) process.stderr.write("docs/postgresql.md skipped: set CARAVEL_TEST_POSTGRES_URL\n")

const page = readFileSync(new URL("../../../docs/postgresql.md", import.meta.url), "utf8")

/** The steps of a section, in order. */
const stepsOf = (title: string) => {
  const [section = ""] = page.split(/^## /m).filter((text) => text.startsWith(title))
  return [...section.matchAll(/```(sql|sh)\n([^]*?)```/g)].map(([, language, text = ""]) => ({ language, text }))
}

const execute = (text: string) =>
  Effect.flatMap(SqlClient, (sql) => sql.unsafe(text)).pipe(
    Effect.provide(PgClient.layer({ url: Redacted.make(server!) })),
    Effect.runPromise
  )

const roles = ["owner", "app", "pooled"]

describe.skipIf(server === undefined)("docs/postgresql.md", () => {
  it.each(["Behind PgBouncer", "Moving there", "A role that can append"])("does what it says: %s", async (title) => {
    // Names of roles are the whole server's, and so the test's own.
    const own = `caravel_test_${randomUUID().replaceAll("-", "")}`
    const { path, remove } = temporary()
    const named = (text: string) =>
      text.replaceAll(new RegExp(`caravel_(${roles.join("|")})\\b`, "g"), `${own}_$1`)
        .replaceAll(/(?<=SCHEMA |--schema |search_path = )caravel\b|\bcaravel(?=\.caravel_)/g, own)
        .replaceAll("data/", `${path}/`)
        .replaceAll(/postgres:\/\/(\w+)@db\.example\.com:5432\/caravel/g, (_, username) =>
          Object.assign(new URL(server!), { username }).href)
    try {
      if (title === "Moving there") {
        await execute(`CREATE ROLE ${own}_owner LOGIN; CREATE SCHEMA ${own} AUTHORIZATION ${own}_owner;
          ALTER ROLE ${own}_owner SET search_path = ${own}`)
        await program(["init", "--database", `${path}/caravel.db`])
      }
      const steps = stepsOf(title)
      expect(steps.length).toBeGreaterThan(0)
      for (const { language, text } of steps) {
        if (language === "sql") {
          await execute(named(text))
          continue
        }
        for (const line of named(text).trim().split("\n")) {
          expect(await program(line.split(" ").slice(1)), line).toMatchObject({ code: 0 })
        }
      }
    } finally {
      await execute(`DROP SCHEMA IF EXISTS ${own} CASCADE`)
      for (const role of roles) {
        const name = `${own}_${role}`
        const isThere = (await execute(`SELECT 1 FROM pg_roles WHERE rolname = '${name}'`)).length > 0
        if (isThere) await execute(`DROP OWNED BY ${name}; DROP ROLE ${name}`)
      }
      remove()
    }
  }, 60_000)
})
