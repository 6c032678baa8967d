import { Command } from "@caravel/domain"
import { Sqlite } from "@caravel/sql"
import { afterAll, describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { spawnSync } from "node:child_process"
import { readdirSync, readFileSync, statSync } from "node:fs"
import { join } from "node:path"
import process from "node:process"
import { caravel, start, temporary } from "../process.js"
import { program } from "../program.js"

const { path: cwd, remove } = temporary()
afterAll(remove)

const tenant = "82341f882b6eabcd2ba7f1ef90aad961cf074af15b9ef44a09f9d2a8fbfbe6a2"
const mark = "b0b5ecre7"
const nwcUrl = `nostr+walletconnect://${mark}?secret=${mark}`
const [old, key] = [1, 2].map((byte) => Buffer.alloc(32, byte).toString("base64")) as [string, string]

const make = async (name: string, tenants = 1) => {
  const filename = join(cwd, name)
  await Effect.gen(function*() {
    const command = yield* Command
    yield* Effect.forEach(
      [tenant, ...Array.from({ length: tenants - 1 }, (_, n) => n.toString(16).padStart(64, "0"))],
      (pubkey) => command.createTenant({ pubkey, nwcUrl }),
      { concurrency: "unbounded" }
    )
  }).pipe(Effect.provide(Sqlite.layer({ filename })), Effect.runPromise)
  const run = (args: ReadonlyArray<string>, keys?: string, isTerminal = false) =>
    program([...args, "--database", filename], {
      isTerminal,
      env: keys === undefined ? {} : { CARAVEL_SECRET_KEYS: keys }
    })
  const found = () =>
    readdirSync(cwd).filter((file) => file.startsWith(name) && readFileSync(join(cwd, file)).includes(mark))
  return { filename, run, found }
}

describe("secrets erase", () => {
  it("erases when it is told to, and says before what it would do", async () => {
    const { found, run } = await make("erase.db")
    expect(await run(["secrets", "erase", tenant])).toMatchObject({
      code: 1,
      stdout: "",
      stderr: "caravel: This erases the tenant's wallet URL for good, also from the database's files; --yes does it"
    })
    expect(found()).toEqual(["erase.db"])
    const { code, json } = await run(["secrets", "erase", tenant, "--yes", "--actor", "privacy"])
    expect({ code, json }).toMatchObject({ code: 0, json: [{ activityType: "update_tenant", position: 2 }] })
    expect(found()).toEqual([])
    expect((await run(["secrets", "erase", tenant])).stderr).toContain(
      "has no wallet URL; --yes removes what earlier ones"
    )
    expect((await run(["secrets", "erase", tenant, "--yes"], undefined, true)).stdout).toBe(
      "Erased from the database and its files; earlier backups still contain it"
    )
    expect((await run(["activity"])).json).toHaveLength(3)
  }, 60_000)

  it("says what is wrong with what it is given", async () => {
    const { run } = await make("wrong.db")
    for (const yes of [[], ["--yes"]]) {
      expect((await run(["secrets", "erase", "0".repeat(64), ...yes])).stderr).toContain("does not exist")
      expect((await run(["secrets", "erase", "npub1nonsense", ...yes])).stderr).toContain("not a valid npub")
    }
    expect((await run(["secrets", "erase"])).stderr).toContain("PUBKEY")
    expect((await run(["secrets"])).code).toBe(1)
  }, 60_000)
})

describe("secrets rotate", () => {
  it(
    "encrypts what is in clear, and then with another key, which the rest of the program needs from then on",
    async () => {
      const { found, run } = await make("rotate.db")
      expect((await run(["secrets", "rotate"])).stderr).toContain(
        "set CARAVEL_SECRET_KEYS to the output of openssl rand -base64 32"
      )
      expect((await run(["secrets", "rotate"], old)).json).toEqual([{ ok: true, rotated: 1 }])
      expect(found()).toEqual([])
      expect((await run(["secrets", "rotate"], key)).stderr).toContain("which is not among the keys")
      expect((await run(["secrets", "rotate"], `${key},${old}`, true)).stdout).toBe(
        "Encrypted 1 secret with the current key; earlier backups hold them as they were"
      )
      expect((await run(["secrets", "rotate"], key, true)).stdout).toContain("already encrypted with the current key")
      expect((await run(["tenant", tenant], key)).json).toMatchObject([{ nwcUrl: "<redacted>" }])
      for (const keys of [undefined, old, "", " ", "wr0ng"]) {
        const { code, stderr, stdout } = await run(["tenant", tenant], keys)
        expect({ code, stdout }).toEqual({ code: 1, stdout: "" })
        expect(stderr).toMatch(/not among the keys|secret key number 1 is not 32 bytes/)
        expect(stderr).toContain("the keys are in CARAVEL_SECRET_KEYS")
        expect(stderr).not.toContain("wr0ng")
      }
      expect((await run(["activity"])).json).toHaveLength(1)
    },
    60_000
  )

  it("by the README's lines, pasted twice, leaves a key in a file that decrypts", async () => {
    const readme = readFileSync(new URL("../../../../README.md", import.meta.url), "utf8")
    const lines = /^ {4}\(umask[^]*?secrets rotate/m.exec(readme)![0]
    const { found, run } = await make("pasted.db")
    const paste = () => {
      const { error, stdout } = spawnSync(
        "bash",
        ["-c", `caravel() { printf '%s' "$CARAVEL_SECRET_KEYS"; }\n${lines}`],
        { encoding: "utf8", env: { ...process.env, HOME: cwd } }
      )
      expect(error).toBe(undefined)
      return stdout
    }
    const pasted = paste()
    expect(await run(["secrets", "rotate"], pasted)).toMatchObject({ code: 0, json: [{ rotated: 1 }] })
    expect(found()).toEqual([])
    expect(paste()).toBe(pasted)
    // The shell is closed: what is left is the file.
    const saved = readFileSync(join(cwd, "caravel.key"), "utf8")
    expect(statSync(join(cwd, "caravel.key")).mode & 0o077).toBe(0)
    expect((await run(["tenant", tenant], saved)).json).toMatchObject([{ nwcUrl: "<redacted>" }])
  }, 60_000)

  it("continues where it was interrupted", async () => {
    const { filename, found, run } = await make("interrupted.db", 1000)
    const env = { CARAVEL_SECRET_KEYS: key }
    const child = start(["secrets", "rotate", "--database", filename], cwd, env)
    const code = await new Promise((resolve) => {
      child.on("close", resolve)
      const interrupt = () => {
        if (child.exitCode !== null) return
        if (readdirSync(cwd).includes("interrupted.db-wal")) child.kill("SIGINT")
        else setImmediate(interrupt)
      }
      interrupt()
    })
    expect([0, 130]).toContain(code)
    const { json } = await caravel(cwd, ["secrets", "rotate", "--database", filename], { env })
    expect(json).toMatchObject([{ ok: true }])
    expect(found()).toEqual([])
    expect((await run(["verify"])).code).toBe(0)
  }, 60_000)

  it("and erase have help, two words together", async () => {
    for (const [name, end] of [["secrets erase", " PUBKEY\n"], ["secrets rotate", "\n"]] as const) {
      const { code, stdout } = await program([...name.split(" "), "--help"])
      expect(code).toBe(0)
      expect(stdout).toContain(`Usage: caravel ${name} [options]${end}`)
    }
  })
})
