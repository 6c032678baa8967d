import { commands } from "@caravel/domain"
import { commandTable } from "@caravel/domain/adapter"
import { afterAll, describe, expect, it } from "@effect/vitest"
import { existsSync, writeFileSync } from "node:fs"
import { join, relative } from "node:path"
import { fieldsOf, subcommandOf } from "../src/cli/CommandOptions.js"
import { subcommands } from "../src/commands/Commands.js"
import { programName } from "../src/commands/Demo.js"
import { caravel, start, temporary } from "./process.js"
import { program } from "./program.js"

const { path: cwd, remove } = temporary()
afterAll(remove)

const pubkey = "82341f882b6eabcd2ba7f1ef90aad961cf074af15b9ef44a09f9d2a8fbfbe6a2"
const npub = "npub1sg6plzptd64u62a878hep2kev88swjh3tw00gjsfl8f237lmu63q0uf63m"
const secret = "b0b5ecre7"
const nwcUrl = `nostr+walletconnect://${pubkey}?secret=${secret}`

const tags = Object.keys(commands) as Array<keyof typeof commands>

describe("generated subcommands", () => {
  it("work one after another, whatever they log", async () => {
    const args: Record<string, string> = {
      pubkey: npub,
      tenant: npub,
      id: "a",
      subdomain: "a",
      stripeCustomerId: "cus_1",
      syncError: "no certificate",
      stripeSubscriptionItemId: "si_1",
      stripeSubscriptionId: "sub_1",
      nwcError: ""
    }
    const create = ["CreateTenant", "CreateRelay"] as const
    for (const tag of [...create, ...tags.filter((tag) => !create.some((name) => name === tag))]) {
      const options = fieldsOf(tag).filter(({ isRequired, name }) => isRequired || name in args).flatMap(({ name }) => [
        `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`,
        args[name]!
      ])
      const result = await program([subcommandOf(tag), ...options, "--database", join(cwd, "all.db"), "--create"])
      expect(result, tag).toMatchObject({ code: 0, stderr: "" })
      const { activity } = commandTable[tag]
      expect(result.json, tag).toMatchObject([activity === null ? { ok: true } : { activityType: activity }])
    }
    expect((await program(["activity", "--database", join(cwd, "all.db")])).json).toHaveLength(9)
  }, 120_000)

  it("say in their help what each argument is", async () => {
    for (const tag of ["CreateRelay", "UpdateTenant", "FailRelaySync"] as const) {
      const { code, stdout } = await program([subcommandOf(tag), "--help"])
      expect(code).toBe(0)
      for (const { description, isRequired } of fieldsOf(tag)) {
        const words = stdout.replace(/\s+/g, " ").toLowerCase()
        expect(words).toContain(description.toLowerCase())
        if (isRequired) expect(words).toContain("required.")
      }
    }
  }, 60_000)

  it("are all listed in the overview", async () => {
    const { stdout } = await program(["--help"])
    const listed = stdout.split("\n")
    for (const { name } of subcommands) {
      expect(listed.some((line) => line.startsWith(`  ${name} `)), name).toBe(true)
    }
    for (const tag of tags) expect(subcommands.map(({ name }) => name)).toContain(subcommandOf(tag))
  })
})

describe("tenants and relays", () => {
  it("are created, changed, cleared and shown, and the wallet URL never is", async () => {
    const env = { CARAVEL_DATABASE: join(cwd, "own.db") }
    const results = [
      await program(["create-tenant", "--pubkey", npub, "--nwc-url", nwcUrl, "--create"], { env }),
      await program(["tenant", pubkey], { env }),
      await program(["create-relay", "--id", "r", "--tenant", pubkey, "--subdomain", "r", "--info-name", "R"], { env }),
      await program(["update-relay", "--id", "r", "--info-name", "", "--groups-enabled", "true"], { env }),
      await program(["relay", "--subdomain", "r"], { env }),
      await program(["update-tenant", "--pubkey", npub, "--nwc-url", ""], { env }),
      await program(["tenant"], { env })
    ]
    expect(existsSync(join(cwd, "own.db"))).toBe(true)
    expect(results.map(({ code }) => code)).toEqual([0, 0, 0, 0, 0, 0, 0])
    expect(results[1]!.json).toMatchObject([{ pubkey, nwcUrl: "<redacted>" }])
    expect(results[4]!.json).toMatchObject([{ id: "r", infoName: "", groupsEnabled: true, status: "active" }])
    expect(results[6]!.json).toMatchObject([{ pubkey, nwcUrl: null, version: 2 }])
    expect(results.map(({ stderr, stdout }) => stdout + stderr).join()).not.toContain(secret)
  }, 60_000)

  it("are changed only if there is a field to change", async () => {
    const env = { CARAVEL_DATABASE: join(cwd, "own.db") }
    const events = async () => (await program(["activity"], { env })).json.length
    const before = await events()
    for (const args of [["update-relay", "--id", "r", "--actor", "me"], ["update-tenant", "--pubkey", npub]]) {
      expect(await program(args, { env })).toMatchObject({
        code: 1,
        stdout: "",
        stderr: `caravel: Give at least one field to change; see caravel ${args[0]} --help`
      })
    }
    expect(await events()).toBe(before)
  })

  it("are tables on a terminal, unless --json is given", async () => {
    const database = ["--database", join(cwd, "tables.db")]
    await program(["create-tenant", "--pubkey", pubkey, "--nwc-url", nwcUrl, "--create", ...database])
    await program(["create-relay", "--id", "r", "--tenant", pubkey, "--subdomain", "s", ...database])
    const shown = (...args: ReadonlyArray<string>) =>
      program([...args, ...database], { isTerminal: true }).then(({ stdout }) => stdout)
    expect(await shown("relay")).toMatch(
      /^id +subdomain +plan +status +tenant +sync\nr +s +free +active +82341f88…fbfbe6a2 +pending$/
    )
    // No tenant has a subscription, and none is past due.
    expect(await shown("tenant")).toMatch(/^pubkey +wallet\n82341f88…fbfbe6a2 +set$/)
    await program(["set-tenant-past-due", "--pubkey", pubkey, ...database])
    expect(await shown("tenant")).toMatch(/^pubkey +wallet +past due since\n82341f88…fbfbe6a2 +set +\d{4}-.*$/)
    expect(await shown("tenant", npub)).toMatch(new RegExp(`^npub +${npub}\npubkey +${pubkey}\n`))
    expect(await shown("activity")).toMatch(/^position .*\n +1 .* create_tenant .*\n +2 .* create_relay .* relay r$/)
    expect(JSON.parse(await shown("relay", "r", "--json"))).toMatchObject({ id: "r" })
  })

  it("that cannot be have one clear line on standard error, without a secret", async () => {
    await program(["init", "--database", join(cwd, "f.db")])
    writeFileSync(join(cwd, "not-a-database"), "this is text, and long enough to be looked at")
    const failures = [
      [["relay", "missing", "--database", join(cwd, "f.db")], "Relay missing does not exist"],
      [["deactivate-relay", "--id", "missing", "--database", join(cwd, "f.db")], "Relay missing does not exist"],
      [["create-tenant", "--pubkey", "npub1nonsense"], "not a valid npub"],
      [["create-tenant", "--pubkey", "nsec1vl029mgpspedva04g90vltkh6fvh240zqtv9k0t9af8935ke9laqsnlfe5"], "private key"],
      [
        ["create-tenant", "--pubkey", pubkey, "--nwc-url", secret, "--database", join(cwd, "f.db")],
        "nostr+walletconnect://"
      ],
      [["create-tenant", nwcUrl], "--pubkey"],
      [["tenant", "--bogus"], "no option --bogus"],
      [["nonsense"], "no command nonsense"],
      [
        ["tenant", "--database", join(cwd, "not-a-database")],
        "caravel: file is not a database (the database is damaged"
      ],
      [["run", "missing.jsonl", "--database", join(cwd, "f.db")], "no such file"]
    ] as const
    for (const [args, message] of failures) {
      const { code, stderr, stdout } = await program(args)
      expect({ code, stdout }, args.join(" ")).toEqual({ code: 1, stdout: "" })
      expect(stderr).toContain(message)
      expect(stderr.trim().split("\n")).toHaveLength(1)
      expect(stderr).not.toMatch(/nsec1vl|b0b5ecre7|\n\s+at /)
    }
  }, 60_000)
})

describe("what a command is sent with", () => {
  const sent = (database: string) => (...args: ReadonlyArray<string>) =>
    program([...args, "--database", join(cwd, database)])

  it("is on every subcommand, apart from the command's own options", async () => {
    for (const tag of ["CreateRelay", "ClearTenantPastDue"] as const) {
      const { stdout } = await program([subcommandOf(tag), "--help"])
      const [own = "", shared = ""] = stdout.split(/\n\n(?= +--actor)/)
      for (const name of ["actor", "correlation-id", "causation-id", "idempotency-key", "expected-version"]) {
        expect(own).not.toContain(`--${name}`)
        expect(shared).toContain(`--${name} `)
      }
      expect(shared).not.toContain("--database")
    }
  })

  it("is shown by activity where there is some, and is in its JSON", async () => {
    const caravel = sent("sent.db")
    await caravel(
      "create-tenant",
      "--create",
      "--pubkey",
      npub,
      "--actor",
      "al\nice",
      "--correlation-id",
      "c",
      "--causation-id",
      "d"
    )
    await caravel("create-relay", "--id", "r", "--tenant", npub, "--subdomain", "r")
    const metadata = { actor: "al\nice", correlationId: "c", causationId: "d" }
    expect((await caravel("activity")).json.map(({ metadata }) => metadata)).toEqual([metadata, {}])
    expect((await caravel("activity", "--limit", "1")).json).toHaveLength(1)
    const { stdout } = await program(["activity", "--database", join(cwd, "sent.db")], { isTerminal: true })
    expect(stdout).toMatch(/ tenant {2}actor=al ice {2}correlationId=c {2}causationId=d\n.* relay r$/)
  })

  it("makes a command safe to repeat, and refuses one that comes late", async () => {
    const caravel = sent("again.db")
    await caravel("init")
    const create = ["create-tenant", "--pubkey", npub, "--expected-version", "0", "--idempotency-key", "key"]
    const [first, second] = [await caravel(...create), await caravel(...create)]
    expect(first).toMatchObject({ code: 0, stderr: "" })
    expect(second.stdout).toBe(first.stdout)
    expect((await caravel(...create, "--stripe-customer-id", "cus")).stderr).toContain("belongs to a different command")
    const late = await caravel("set-tenant-past-due", "--pubkey", npub, "--expected-version", "2")
    expect(late).toMatchObject({ code: 1, stderr: expect.stringContaining("is at version 1, not at version 2") })
    const malformed = await caravel("set-tenant-past-due", "--pubkey", npub, "--idempotency-key", "")
    expect(malformed).toMatchObject({ code: 1, stderr: expect.stringContaining("Expected an idempotency key") })
    expect((await caravel("tenant", npub)).json).toMatchObject([{ version: 1 }])
  })
})

describe("activity --follow", () => {
  for (const [signal, expected] of [["SIGINT", 130], ["SIGTERM", 143]] as const) {
    it(`shows what another process writes, and ends on ${signal} without a word`, async () => {
      const database = `${signal}.db`
      await caravel(cwd, ["create-tenant", "--pubkey", pubkey, "--database", database, "--create"])
      const child = start(["activity", "--follow", "--database", database], cwd)
      let stderr = ""
      child.stderr.on("data", (bytes) => stderr += String(bytes))
      const closed = new Promise((resolve) => child.on("close", resolve))
      let stdout = ""
      const lines = (count: number) =>
        new Promise<void>((resolve) => {
          const look = () => stdout.split("\n").length > count && resolve()
          child.stdout.on("data", look)
          look()
        })
      child.stdout.on("data", (bytes) => stdout += String(bytes))
      await lines(1)
      await caravel(cwd, ["create-relay", "--id", "b", "--tenant", npub, "--subdomain", "b", "--database", database])
      await lines(2)
      child.kill(signal)
      expect(await closed).toBe(expected)
      expect(stderr).toBe("")
      expect(stdout.trim().split("\n").map((line) => JSON.parse(line).activityType)).toEqual([
        "create_tenant",
        "create_relay"
      ])
    }, 60_000)
  }
})

describe("demo", () => {
  it("calls the program as it was started", () => {
    const script = join(cwd, "folder", "bin.js")
    expect(programName({ argv: ["node", script], env: {} })).toBe(`node ${relative("", script)}`)
    expect(programName({ argv: ["node", "/usr/lib/node_modules/.bin/caravel"], env: {} })).toBe("caravel")
    expect(programName({ argv: ["node", "/x/.bin/caravel"], env: { npm_command: "exec" } })).toBe("npx caravel")
  })

  it("runs twice with the same outcome, and colourless into a pipe", async () => {
    const [first, second] = [await caravel(cwd, ["demo"]), await caravel(cwd, ["demo"])]
    for (const { code, stderr, stdout } of [first, second]) {
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" })
      expect(stdout).toContain("53 accepted, 5 refused; 40 activities logged, 40 received live")
      expect(stdout).not.toMatch(/\u001b|walletconnect|secret=/)
      // How the program is called here takes more room than its name.
      for (const line of stdout.split("\n")) {
        if (!line.includes("bin.ts")) expect(line.length, line).toBeLessThanOrEqual(100)
      }
    }
  }, 60_000)
})
