import { afterAll, beforeAll, describe, expect, it } from "@effect/vitest"
import { join } from "node:path"
import { temporary } from "../process.js"
import { program } from "../program.js"

const { path: cwd, remove } = temporary()
afterAll(remove)

const database = join(cwd, "caravel.db")
const pubkey = "82341f882b6eabcd2ba7f1ef90aad961cf074af15b9ef44a09f9d2a8fbfbe6a2"
const nwcUrl = "nostr+walletconnect://b0b5ecre7?secret=b0b5ecre7"
const relay = ["--id", "a", "--tenant", pubkey, "--subdomain", "a"]

const run = (...args: ReadonlyArray<string>) => program(args, { env: { CARAVEL_DATABASE: database } })

beforeAll(() => program(["init", "--database", database]))

describe("arguments that are wrong", () => {
  it("are told in one line that names the option or argument, and says what it takes", async () => {
    const see = (name: string) => `; see caravel ${name} --help`
    const failures: ReadonlyArray<readonly [ReadonlyArray<string>, string]> = [
      [["create-relay"], `--id, --tenant and --subdomain are missing${see("create-relay")}`],
      [["create-relay", "--id", "a", "--tenant", pubkey], `--subdomain is missing${see("create-relay")}`],
      [["create-relay", "--id"], `--id needs a value: text${see("create-relay")}`],
      [["create-relay", "--id", "--tenant", pubkey], `--id needs a value: text${see("create-relay")}`],
      [["create-relay", ...relay, "--push-enabled"], `--push-enabled needs a value: true|false${see("create-relay")}`],
      [["create-relay", ...relay, "--push-enabled", "maybe"], "--push-enabled: Expected true or false, got \"maybe\""],
      [["create-relay", ...relay, "--push-enabled="], "--push-enabled: Expected true or false, got \"\""],
      [["create-relay", ...relay, "--id", "b"], `--id is given twice${see("create-relay")}`],
      [
        ["create-relay", ...relay, "--plann", "x"],
        "there is no option --plann; did you mean --plan? See caravel create-relay --help"
      ],
      [
        ["create-relay", "--id", "a", "--tenant", "x", "--subdomain", "a"],
        "--tenant: Expected a public key of 64 lower-case hex characters, got \"x\""
      ],
      [
        ["create-relay", "--id", "a", "--tenant", pubkey, "--subdomain", "-b"],
        "--subdomain: Expected a subdomain of 1 to 63 of a-z, 0-9 and -, without - at either end, got \"-b\""
      ],
      [
        ["create-relay", ...relay, "--info-name", "x".repeat(65_537)],
        "--info-name: Expected text of at most 65536 characters, got 65537"
      ],
      [
        ["create-relay", ...relay, "--expected-version", "-1"],
        "--expected-version: Expected an integer of at least 0, got \"-1\""
      ],
      [["create-tenant", nwcUrl, "--pubkey", pubkey], `"<redacted>" is unexpected${see("create-tenant")}`],
      [["activity", "--limit", "-1"], "--limit: Expected an integer of at least 1, got \"-1\""],
      [["activity", "--limit=1.5"], "--limit: Expected an integer of at least 1, got \"1.5\""],
      [["activity", "--limit"], `--limit needs a value: count${see("activity")}`],
      [
        ["activity", "--since", "x", "--limit", "y"],
        "--since: Expected a position, an instant with its time zone such as 2026-11-01T00:00Z, \"2026-11-01 00:00\", " +
        "2026-11-01, 1h, 7d, today, yesterday or now, got \"x\"; --limit: Expected an integer of at least 1, got \"y\""
      ],
      [["activity", "--json=maybe"], `--json takes no value${see("activity")}`],
      [["activity", "a", "b"], `"a" and "b" are unexpected${see("activity")}`],
      [["activity", "--__proto__"], `there is no option --__proto__${see("activity")}`],
      [["consumers", "drop"], `NAME is missing${see("consumers drop")}`],
      [["tenant", "nobody"], "PUBKEY: Expected a public key of 64 lower-case hex characters, got \"nobody\""],
      [["usage", "nobody"], "TENANT: Expected a public key of 64 lower-case hex characters, got \"nobody\""],
      [["history", "tenant", "nobody"], "ID: Expected a public key of 64 lower-case hex characters, got \"nobody\""],
      [["relay", "a b"], "ID: Expected a relay id of 1 to 64 letters, digits, _ and -, got \"a b\""],
      [["--bogus"], "There is no option --bogus; see caravel --help"],
      [["relais"], "There is no command relais; did you mean relay?"],
      [["consumers", "park"], "There is no command consumers park; did you mean consumers parked?"],
      [["secrets"], "There is no command secrets; there are secrets erase and secrets rotate"],
      [["constructor"], "There is no command constructor; see caravel --help"]
    ]
    for (const [args, message] of failures) {
      expect(await run(...args), args.join(" ")).toMatchObject({ code: 1, stdout: "", stderr: `caravel: ${message}` })
    }
  }, 60_000)

  it("are told without the password of a URL, however long it is", async () => {
    for (const password of ["pAsSw0rdAVNS_9f8e7d6c5b4a39281706", `pAsSw0rd${"9f8e7d6c".repeat(12)}`]) {
      const url = `postgres://caravel_production:${password}@db.example.com:5432/caravel`
      const lines = [
        [url],
        [url, "relay"],
        ["consumers", url],
        [`--${url}`],
        ["activity", url],
        ["activity", `--${url}`],
        ["activity", "--since", url],
        ["activity", "--limit", url],
        ["activity", "--tz", url],
        ["activity", "--output", url],
        ["verify", "--database", "x.db", url],
        ["consumers", "reset", "a", "--to", url],
        ["relay", "--status", url],
        ["relay", "--sort", url],
        ["relay", "--tenant", url],
        ["relay", url],
        ["history", url, "x"],
        ["history", "relay", "x", "--at", url],
        ["history", "relay", url],
        ["diff", url, "now"],
        ["usage", pubkey, "--from", url],
        ["create-relay", ...relay, "--push-enabled", url],
        ["create-relay", ...relay, "--expected-version", url],
        ["create-relay", "--id", "a", "--tenant", pubkey, "--subdomain", url]
      ]
      for (const args of lines) {
        const { code, stderr, stdout } = await run(...args)
        expect(code, args.join(" ")).toBe(1)
        expect(stdout + stderr).toContain("<redacted>")
        expect(stdout + stderr, args.join(" ")).not.toContain("pAsSw0rd")
      }
    }
  }, 60_000)

  it("are not looked for in values, which may begin with a dash or be a subcommand's name", async () => {
    await run("create-tenant", "--pubkey", pubkey)
    expect((await run("create-relay", ...relay, "--info-name", "-1", "--info-description=--help me")).code).toBe(0)
    expect((await run("relay", "--", "a")).json).toMatchObject([{ infoName: "-1", infoDescription: "--help me" }])
    expect((await run("history", "relay", "relay")).stderr).toContain("Relay relay does not exist")
    expect((await program(["consumers", "--database", join(cwd, "drop")])).stderr).toContain(
      `no file ${join(cwd, "drop")}`
    )
    expect((await run("relay", "--json=true", "a", "--json=false")).code).toBe(0)
  })
})

describe("what does not exist", () => {
  it("is created by a subcommand, not by a method", async () => {
    const nobody = "0".repeat(64)
    expect((await run("set-tenant-past-due", "--pubkey", nobody)).stderr).toBe(
      `caravel: Tenant ${nobody} does not exist; create it with caravel create-tenant first`
    )
    expect((await run("activate-relay", "--id", "createRelay")).stderr).toBe(
      "caravel: Relay createRelay does not exist; create it with caravel create-relay first"
    )
    expect((await run("create-tenant", "--pubkey", pubkey)).stderr).toContain("use caravel update-tenant to change it")
  })
})

describe("help and version", () => {
  it("are for each subcommand, and for those under a word", async () => {
    expect((await run("help", "relay")).stdout).toBe((await run("relay", "--help")).stdout)
    expect((await run("consumers", "drop", "-h")).stdout).toContain("Usage: caravel consumers drop [options] NAME")
    const { code, stdout } = await run("secrets", "--help")
    expect(code).toBe(0)
    for (const name of ["erase", "rotate"]) expect(stdout).toContain(`Usage: caravel secrets ${name}`)
    expect((await run("--version")).stdout).toMatch(/^\d+\.\d+\.\d+$/)
  })
})
