import { Command } from "@caravel/domain"
import { Consumer } from "@caravel/pubsub"
import { schemaVersion, Sqlite } from "@caravel/sql"
import { SqlClient } from "@effect/sql/SqlClient"
import { afterAll, describe, expect, it } from "@effect/vitest"
import Sqlite3 from "better-sqlite3"
import { Effect, Logger, LogLevel, Schedule } from "effect"
import { chownSync, mkdirSync, readFileSync, statfsSync, truncateSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { temporary } from "../process.js"
import { at, program } from "../program.js"

const { path: cwd, remove } = temporary()
afterAll(remove)

const tenant = "82341f882b6eabcd2ba7f1ef90aad961cf074af15b9ef44a09f9d2a8fbfbe6a2"
const secret = "nostr+walletconnect://b0b5ecre7?secret=b0b5ecre7"

const on = <A, E>(filename: string, effect: Effect.Effect<A, E, Sqlite.Services>) =>
  effect.pipe(Logger.withMinimumLogLevel(LogLevel.None), Effect.provide(Sqlite.layer({ filename })), Effect.runPromise)

const doctor = (filename: string, isTerminal = false) =>
  program(["doctor", "--database", filename], { isTerminal, columns: 120 })

/** What is not as it should be, by check. */
const findings = async (filename: string) => {
  const { code, json, stderr, stdout } = await doctor(filename)
  expect(stderr).toBe("")
  expect(stdout).not.toContain("b0b5ecre7")
  const found = json.slice(0, -1).filter(({ status }) => status !== "ok")
  return { code, found: found.map(({ check, finding, status }) => [check, status, finding]), last: json.at(-1) }
}

describe("doctor", () => {
  it("finds nothing wrong with a database that is sound, and changes nothing", async () => {
    const filename = join(cwd, "sound.db")
    await on(filename, Effect.flatMap(Command, (command) => command.createTenant({ pubkey: tenant })))
    const before = readFileSync(filename)
    const { code, json } = await doctor(filename)
    expect(json.map(({ check, status }) => [check, status])).toEqual([
      ...["file", "disk", "log", "sidecars", "durability", "schema", "rows", "clocks", "secrets", "consumers"].map((
        check
      ) => [check, "ok"]),
      [undefined, undefined]
    ])
    expect([code, json.at(-1)]).toEqual([0, { ok: true, wrong: 0, warnings: 0 }])
    const { stdout } = await doctor(filename, true)
    expect(stdout).toMatch(/^ +check +finding\nok +file +.*sound\.db has 0\.\d MiB\n/)
    expect(stdout).toContain(`version ${schemaVersion}`)
    expect(readFileSync(filename)).toEqual(before)
    // The end is not read, which says whether all is well.
    expect((await program(["doctor", "--database", filename], { closedAfter: 1 })).code).toBe(1)
  }, 60_000)

  it("says what is wrong with rows and consumers, and what to do", async () => {
    const filename = join(cwd, "wrong.db")
    await on(
      filename,
      Effect.gen(function*() {
        const command = yield* Command
        yield* command.createTenant({ pubkey: tenant })
        const fails = { from: "beginning", retry: Schedule.stop, handle: () => Effect.fail(`no ${secret}`) } as const
        yield* Effect.exit(Consumer.handleOnce({ ...fails, name: "halts" }))
        yield* Consumer.handleOnce({ ...fails, name: "parks", onFailure: "park" })
        yield* Consumer.handleOnce({ ...fails, name: "stopped", handle: () => Effect.void })
        yield* command.updateTenant({ pubkey: tenant, stripeCustomerId: "cus_1" })
        yield* (yield* SqlClient)`UPDATE caravel_tenant SET stripe_customer_id = 'cus_2'`
      })
    )
    const { code, found, last } = await findings(filename)
    expect(found).toEqual([
      ["rows", "wrong", expect.stringContaining("1 difference from the journal")],
      ["consumers", "wrong", expect.stringMatching(/^halts has halted at 1: no <redacted>/)],
      ["consumers", "wrong", "parks has parked 1 activity"],
      ["consumers", "warning", "stopped is not running, with 1 activity to handle"]
    ])
    expect([code, last]).toEqual([1, { ok: false, wrong: 3, warnings: 1 }])
    const { stdout } = await doctor(filename, true)
    for (const command of ["rebuild --yes", "consumers reset halts --to 1", "consumers parked parks"]) {
      expect(stdout.replace(/\s+/g, " ")).toContain(`caravel ${command}`)
    }
  }, 60_000)

  it("finds that wallet URLs cannot be read with the keys that are configured", async () => {
    const filename = join(cwd, "encrypted.db")
    const key = "ab".repeat(32)
    const env = { CARAVEL_SECRET_KEYS: key }
    const created = await program(
      ["create-tenant", "--create", "--pubkey", tenant, "--nwc-url", secret, "--database", filename],
      { env }
    )
    expect(created.stderr).toBe("")
    const secrets = async (env: Record<string, string>) => {
      const { code, json } = await program(["doctor", "--database", filename], { env })
      return [code, ...json.filter(({ check }) => check === "secrets").map(({ finding, status }) => [status, finding])]
    }
    expect(await secrets(env)).toEqual([0, ["ok", "1 wallet URL, all readable"]])
    for (const wrong of [{}, { CARAVEL_SECRET_KEYS: "cd".repeat(32) }]) {
      expect(await secrets(wrong)).toEqual([1, ["wrong", expect.stringContaining("not among the keys")]])
      const { stdout } = await program(["doctor", "--database", filename], { env: wrong })
      expect(stdout).toContain("Set CARAVEL_SECRET_KEYS to the key; until then no tenant that has a wallet URL")
    }
  }, 60_000)

  it("warns of wrong clocks and of a long log, which is not wrong", async () => {
    const filename = join(cwd, "warned.db")
    await on(
      filename,
      Effect.gen(function*() {
        const command = yield* Command
        yield* command.createTenant({ pubkey: tenant }).pipe(at("2026-01-01T00:00:00Z"))
        yield* command.createRelay({ id: "a", tenant, subdomain: "a" }).pipe(at("2025-01-01T00:00:00Z"))
        // A long log, of which SQLite ignores what was never written.
        truncateSync(`${filename}-wal`, 100 * 2 ** 20)
        const { code, found, last } = yield* Effect.promise(() => findings(filename))
        expect(found).toEqual([
          ["log", "warning", expect.stringContaining("100.0 MiB")],
          ["clocks", "warning", expect.stringContaining("The event at position 2 has the instant 2025-01-01")]
        ])
        expect([code, last]).toEqual([0, { ok: true, wrong: 0, warnings: 2 }])
      })
    )
  }, 60_000)

  it("warns of what a restore that was killed has left", async () => {
    const filename = join(cwd, "left.db")
    await on(filename, Effect.void)
    mkdirSync(`${filename}.restore-a1B2c3`)
    mkdirSync(`${filename}.restored`)
    expect(await findings(filename)).toMatchObject({
      code: 0,
      found: [["leftovers", "warning", expect.stringContaining(`${filename}.restore-a1B2c3 holds a copy`)]]
    })
  }, 60_000)

  it("warns of a disk that has no room for a copy", async () => {
    const filename = join(cwd, "large.db")
    await on(filename, Effect.flatMap(Command, (command) => command.createTenant({ pubkey: tenant })))
    // SQLite ignores what is beyond its pages, and the file system stores none of it.
    const { bavail, bsize } = statfsSync(cwd)
    truncateSync(filename, bavail * bsize)
    const { code, found } = await findings(filename)
    expect([code, found]).toEqual([0, [["disk", "warning", expect.stringContaining("too little for a copy")]]])
  }, 60_000)

  // Only root can give a file to another user.
  it.skipIf(process.getuid?.() !== 0)("finds a log that belongs to another user", async () => {
    const filename = join(cwd, "owned.db")
    await on(
      filename,
      Effect.gen(function*() {
        yield* (yield* Command).createTenant({ pubkey: tenant })
        chownSync(`${filename}-wal`, 12_345, 12_345)
        const { code, found } = yield* Effect.promise(() => findings(filename))
        expect([code, found]).toEqual([1, [["sidecars", "wrong", expect.stringContaining("owned.db-wal belong")]]])
      })
    )
  }, 60_000)

  it("says why a database cannot be examined", async () => {
    const older = join(cwd, "older.db")
    const database = new Sqlite3(older)
    database.exec(readFileSync(new URL("../../../sql/test/frozen/0008.sql", import.meta.url), "utf8"))
    database.close()
    expect((await findings(older)).found).toEqual([
      ["schema", "wrong", expect.stringContaining("migrate it with caravel migrate")]
    ])
    const damaged = join(cwd, "damaged.db")
    writeFileSync(damaged, Buffer.concat([Buffer.from("SQLite format 3\0"), Buffer.alloc(8176, 0xab)]))
    expect(await findings(damaged)).toMatchObject({ code: 1, found: [["database", "wrong", expect.any(String)]] })
    expect(await doctor(join(cwd, "none.db"))).toMatchObject({
      code: 1,
      stdout: "",
      stderr: expect.stringContaining("there is no file")
    })
  }, 60_000)
})
