import { Postgres, schemaVersion } from "@caravel/sql"
import { SqlClient } from "@effect/sql/SqlClient"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Layer, Redacted } from "effect"
import { randomUUID } from "node:crypto"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { program } from "./program.js"

const server = process.env["CARAVEL_TEST_POSTGRES_URL"]
const pubkey = "82341f882b6eabcd2ba7f1ef90aad961cf074af15b9ef44a09f9d2a8fbfbe6a2"

if (server === undefined) process.stderr.write("caravel on PostgreSQL skipped: set CARAVEL_TEST_POSTGRES_URL\n")

describe.skipIf(server === undefined)("caravel on PostgreSQL", () => {
  it("uses the schema that --schema or CARAVEL_SCHEMA names", async () => {
    const schema = `caravel_test_${randomUUID().replaceAll("-", "")}`
    const [option, variable] = [["--schema", schema], { CARAVEL_SCHEMA: schema }] as const
    const at = (args: ReadonlyArray<string>, env: Record<string, string> = {}) =>
      program(args, { env: { CARAVEL_DATABASE: server!, ...env } })
    const directory = mkdtempSync(join(tmpdir(), "caravel-"))
    const file = join(directory, "copy.db")
    try {
      expect(await at(["init", ...option])).toMatchObject({ code: 0 })
      expect(await at(["create-tenant", "--pubkey", pubkey], variable)).toMatchObject({ code: 0 })
      expect((await at(["tenant", ...option], { CARAVEL_SCHEMA: "elsewhere" })).json).toMatchObject([{ pubkey }])
      expect((await at(["tenant"], { CARAVEL_SCHEMA: `${schema}_none` })).stderr).toContain("has no Caravel tables")
      expect(await at(["copy", server!, file, ...option])).toMatchObject({ code: 0 })
      expect((await program(["tenant", "--database", file], { env: variable })).json).toMatchObject([{ pubkey }])
      expect((await program(["tenant", "--database", file, ...option])).stderr).toContain("--schema is for PostgreSQL")
    } finally {
      rmSync(directory, { recursive: true })
      await Effect.runPromise(Effect.provide(
        Effect.flatMap(SqlClient, (sql) => sql`DROP SCHEMA ${sql(schema)} CASCADE`),
        Postgres.layer({ url: Redacted.make(server!), schema })
      ))
    }
  }, 60_000)

  it("has every subcommand that it has on a file", async () => {
    const schema = `caravel_test_${randomUUID().replaceAll("-", "")}`
    const url = new URL(server!)
    url.password ||= "hush"
    url.searchParams.set("options", `-c search_path=${schema}`)
    const directory = mkdtempSync(join(tmpdir(), "caravel-"))
    const layer = Postgres.layer({ url: Redacted.make(server!), schema })
    const json = async (...args: ReadonlyArray<string>) => {
      const result = await program([...args, "--database", url.href])
      expect(result, args.join(" ")).toMatchObject({ code: 0 })
      return result.json
    }
    await Effect.runPromise(
      Effect.gen(function*() {
        yield* Layer.build(layer)
        yield* Effect.promise(async () => {
          expect(await json("create-tenant", "--pubkey", pubkey)).toMatchObject([{ position: 1 }])
          expect(await json("create-relay", "--id", "a", "--tenant", pubkey, "--subdomain", "a")).toMatchObject([{
            position: 2
          }])
          expect(await json("set-tenant-past-due", "--pubkey", pubkey)).toEqual([{ ok: true }])
          expect(await json("relay", "a")).toMatchObject([{ id: "a", status: "active", synced: false }])
          expect(await json("tenant", pubkey)).toMatchObject([{ pubkey, version: 2 }])
          expect(await json("activity", "--since", "1", "--limit", "1")).toMatchObject([{ position: 2 }])
          expect(await json("history", "relay", "a")).toMatchObject([{ event: "RelayCreated", version: 1 }])
          expect(await json("diff", "0", "now")).toHaveLength(2)
          expect(await json("usage", pubkey, "--from", "2020-01-01", "--to", "2100-01-01")).toMatchObject([{
            relay: "a"
          }])
          expect(await json("consumers")).toEqual([])
          expect(await json("verify")).toMatchObject([{ ok: true, events: 3 }])
          expect(await json("migrate")).toEqual([{ ok: true, dryRun: false, from: schemaVersion, to: schemaVersion }])
          // A server for tests may have fsync off, which is wrong.
          expect((await program(["doctor", "--database", url.href])).json).toMatchObject([
            { check: "durability", finding: expect.stringContaining("fsync is") },
            ...["schema", "rows", "clocks", "secrets", "consumers"].map((check) => ({ check, status: "ok" })),
            { warnings: 0 }
          ])
          expect(await json("rebuild", "--yes")).toMatchObject([{ ok: true, written: 0 }])
          const backup = join(directory, "backup.db")
          expect(await json("backup", backup)).toMatchObject([{ ok: true, position: 3 }])
          expect(await json("restore", "--force", backup)).toMatchObject([{
            ok: true,
            position: 3,
            tenants: 1,
            relays: 1
          }])
          expect(await json("epochs")).toMatchObject([{ position: 0 }, { position: 3 }])
          const refused = await program(["restore", backup, "--database", url.href])
          expect(refused).toMatchObject({
            code: 1,
            stderr:
              "caravel: The database holds 3 events; --force replaces it, and what happened since the backup is lost"
          })
          const again = await program(["create-relay", "--id", "a", "--tenant", pubkey, "--subdomain", "a"], {
            env: { CARAVEL_DATABASE: url.href }
          })
          expect(again).toMatchObject({ code: 1, stderr: expect.stringContaining("already exists") })
        })
        // What had the database open when it was restored writes nothing more.
        yield* Effect.flatMap(SqlClient, (sql) => sql`DROP SCHEMA ${sql(schema)} CASCADE`).pipe(Effect.provide(layer))
      }).pipe(Effect.scoped)
    ).finally(() => rmSync(directory, { recursive: true }))
  }, 60_000)

  it("says why it cannot, without the password", async () => {
    const url = new URL(server!)
    url.password = "hush"
    url.pathname = "/nowhere"
    for (const args of [["relay", "--database", url.href], ["relay", "--databse", url.href], [url.href]]) {
      const { code, stderr, stdout } = await program(args)
      expect(code).toBe(1)
      expect(stdout + stderr).not.toContain("hush")
    }
    expect((await program(["relay", "--database", "mysql://root:hush@127.0.0.1/x"])).stderr).toContain(
      "--database begins with mysql:, which is not supported"
    )
  })
})
