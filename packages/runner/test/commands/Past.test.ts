import { Command } from "@caravel/domain"
import { Sqlite } from "@caravel/sql"
import { afterAll, beforeAll, describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { join } from "node:path"
import { temporary } from "../process.js"
import { at, program } from "../program.js"

const { path: cwd, remove } = temporary()
afterAll(remove)

const filename = join(cwd, "past.db")
const tenant = "82341f882b6eabcd2ba7f1ef90aad961cf074af15b9ef44a09f9d2a8fbfbe6a2"
const npub = "npub1sg6plzptd64u62a878hep2kev88swjh3tw00gjsfl8f237lmu63q0uf63m"
const nwcUrl = "nostr+walletconnect://b0b5ecre7?secret=b0b5ecre7"

const run = (...args: ReadonlyArray<string>) => program([...args, "--database", filename])
const shown = (...args: ReadonlyArray<string>) =>
  program([...args, "--database", filename], { isTerminal: true }).then(({ stderr, stdout }) => {
    expect(stdout + stderr).not.toContain("b0b5ecre7")
    return stdout.split("\n")
  })

beforeAll(() =>
  Effect.gen(function*() {
    const command = yield* Command
    const relay = { id: "r", tenant, subdomain: "r", plan: "basic", infoName: "A relay\u001b[31m\nin two lines" }
    yield* command.createTenant({ pubkey: tenant, nwcUrl }).pipe(at("2025-10-01T00:00:00Z"))
    yield* command.createRelay(relay).pipe(at("2025-10-10T12:00:00Z"))
    yield* command.updateTenant({ pubkey: tenant, nwcUrl: `${nwcUrl}2` }).pipe(at("2025-10-11T00:00:00Z"))
    yield* command.setTenantPastDue(tenant).pipe(at("2025-10-12T00:00:00Z"))
    yield* command.updateRelay({ id: "r", plan: "growth", pushEnabled: true }).pipe(at("2025-11-10T00:00:00Z"))
    yield* command.deactivateRelay({ id: "r" }).pipe(at("2025-11-20T00:00:00Z"))
    yield* command.deactivateRelay({ id: "r" }).pipe(at("2025-11-21T00:00:00Z"))
    yield* command.activateRelay({ id: "r" }).pipe(at("2025-11-25T12:30:00.250Z"))
    yield* command.updateTenant({ pubkey: tenant, nwcUrl: null }).pipe(
      Command.withMetadata({ actor: "al\nice", correlationId: "c" }),
      at("2025-11-26T00:00:00Z")
    )
  }).pipe(Effect.provide(Sqlite.layer({ filename })), Effect.runPromise), 60_000)

describe("history", () => {
  it("is a table on a terminal, a line for each change", async () => {
    expect(await shown("history", "relay", "r")).toEqual([
      "position  time (UTC)           event                      what it changed",
      "       2  2025-10-10 12:00:00  created                    subdomain r",
      "                                                          plan basic",
      "                                                          infoName A relay [31m in two lines",
      "                                                          status active",
      "       5  2025-11-10 00:00:00  updated                    plan basic → growth",
      "                                                          pushEnabled no → yes",
      "       6  2025-11-20 00:00:00  deactivated                status active → inactive",
      "       7  2025-11-21 00:00:00  deactivated                nothing: it had these values already",
      "       8  2025-11-25 12:30:00  activated                  status inactive → active"
    ])
    expect(await shown("history", "tenant", npub, "--newest-first", "--limit", "3")).toEqual([
      "position  time (UTC)           event                      what it changed",
      "       9  2025-11-26 00:00:00  updated                    nwcUrl set → -",
      "                                                          actor=al ice",
      "                                                          correlationId=c",
      "       4  2025-10-12 00:00:00  past due set               pastDueAt - → 2025-10-12 00:00:00",
      "       3  2025-10-11 00:00:00  updated                    nwcUrl set → another"
    ])
  })

  it("says of a creation without fields that none was set", async () => {
    const database = ["--database", join(cwd, "new.db")]
    await program(["create-tenant", "--create", "--pubkey", tenant, ...database])
    const { stdout } = await program(["history", "tenant", tenant, ...database], { isTerminal: true })
    expect(stdout).toMatch(/ created +no fields set$/)
  })

  it("loses no word of what changed in a terminal of 60 columns", async () => {
    const inOne = (text: string) => text.replace(/\s/g, "")
    for (
      const args of [["history", "relay", "r"], ["history", "tenant", npub], ["diff", "0", "now"], ["relay"], [
        "tenant"
      ]]
    ) {
      const at = async (columns: number) =>
        (await program([...args, "--database", filename], { isTerminal: true, columns })).stdout
      const narrow = await at(60)
      // A tenant's key is shown whole.
      const lines = narrow.split("\n").slice(1).filter((line) => !line.includes(tenant))
      for (const line of lines) expect(line.length, line).toBeLessThanOrEqual(60)
      if (args[0] !== "tenant") {
        expect(inOne(narrow)).toBe(inOne(await at(400)))
      }
    }
  })

  it("is JSON lines elsewhere, without secrets", async () => {
    const { code, json, stderr, stdout } = await run("history", "tenant", tenant)
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" })
    expect(json).toMatchObject([
      { position: 1, event: "TenantCreated", version: 1, resourceType: "tenant", resourceId: tenant },
      {
        position: 3,
        createdAt: "2025-10-11T00:00:00.000Z",
        changes: [{ field: "nwcUrl", before: "<redacted>", after: "<redacted>" }]
      },
      { position: 4, changes: [{ field: "pastDueAt", before: null, after: "2025-10-12T00:00:00.000Z" }] },
      {
        position: 9,
        metadata: { actor: "al\nice", correlationId: "c" },
        changes: [{ field: "nwcUrl", before: "<redacted>", after: null }]
      }
    ])
    expect(json[0].changes).toContainEqual({ field: "nwcUrl", after: "<redacted>" })
    expect(stdout).not.toContain("b0b5ecre7")
    expect((await run("history", "relay", "r", "--newest-first", "--limit", "1")).json).toMatchObject([{ position: 8 }])
  })

  it("shows the state at a position, an instant or now", async () => {
    const lines = await shown("history", "relay", "r", "--at", "2025-11-20T01:00+01:00")
    expect(lines[0]).toBe("As of 2025-11-20T01:00+01:00 (position 6)")
    expect(lines).toContain("status                    inactive")
    // As the tables have it, and in their zone.
    for (const then of ["2025-11-20 00:00", "2025-11-20 00:00:00", "2025-11-20 01:00:00.000+01:00"]) {
      expect((await shown("history", "relay", "r", "--at", then))[0]).toBe(`As of ${then} (position 6)`)
    }
    expect((await run("diff", "2025-11-19 23:59:59.999", "2025-11-20 00:00", "relay", "r")).json).toHaveLength(1)
    expect((await run("history", "relay", "r", "--at", "4")).json).toMatchObject([{ plan: "basic", version: 1 }])
    expect((await run("history", "relay", "r", "--at", "now")).json).toEqual((await run("relay", "r")).json)
    expect((await shown("history", "tenant", npub, "--at", "2"))[0]).toBe("As of position 2")
    expect((await run("history", "tenant", npub, "--at", "2")).json).toMatchObject([{ nwcUrl: "<redacted>" }])
    expect((await run("history", "tenant", npub, "--at", "9")).json).toEqual((await run("tenant", npub)).json)
  })
})

describe("diff", () => {
  it("shows what appeared and what changed, and backwards", async () => {
    expect(await shown("diff", "2025-10-01", "2025-11-15T00:00Z")).toEqual([
      "From 2025-10-01 (position 1) to 2025-11-15T00:00Z (position 5): 1 appeared, 1 changed",
      "",
      "relay r appeared, version 2",
      `  tenant       ${tenant}`,
      "  subdomain    r",
      "  plan         growth",
      "  infoName     A relay [31m in two lines",
      "  pushEnabled  yes",
      "  status       active",
      "  createdAt    2025-10-10 12:00:00",
      "",
      `tenant ${tenant} changed, version 1 → 3`,
      "  pastDueAt  - → 2025-10-12 00:00:00",
      "  nwcUrl     set → another"
    ])
    expect(await shown("diff", "2", "0")).toEqual([
      "From position 2 to position 0: 2 disappeared",
      "",
      `tenant ${tenant} disappeared, version 1`,
      "",
      "relay r disappeared, version 1"
    ])
    expect(await shown("diff", "9", "9")).toEqual(["From position 9 to position 9: nothing differs"])
  })

  it("is about one resource, if one is named", async () => {
    expect((await run("diff", "2", "now", "relay", "r")).json).toEqual([{
      resourceType: "relay",
      resourceId: "r",
      difference: "changed",
      changes: [
        { field: "plan", before: "basic", after: "growth" },
        { field: "pushEnabled", before: false, after: true },
        { field: "version", before: 1, after: 5 }
      ]
    }])
    expect((await run("diff", "1", "9", "tenant", npub)).json).toMatchObject([{
      resourceId: tenant,
      changes: expect.arrayContaining([{ field: "nwcUrl", before: "<redacted>", after: null }])
    }])
    expect((await run("diff", "5", "5", "relay", "r")).json).toEqual([])
  })
})

describe("usage", () => {
  const november = ["--from", "2025-11-01", "--to", "2025-12-01T00:00Z"]

  it("shows for how long and when, exactly", async () => {
    expect(await shown("usage", npub, ...november)).toEqual([
      "relay  plan    active for",
      "r      basic   9 d",
      "r      growth  15 d 11 h 29 min 59.75 s",
      "",
      "relay  plan    from (UTC)               to                       active for",
      "r      basic   2025-11-01 00:00:00.000  2025-11-10 00:00:00.000  9 d",
      "r      growth  2025-11-10 00:00:00.000  2025-11-20 00:00:00.000  10 d",
      "r      growth  2025-11-25 12:30:00.250  2025-12-01 00:00:00.000  5 d 11 h 29 min 59.75 s"
    ])
    expect(await run("usage", tenant, "--from", "now", "--to", "now")).toMatchObject({ code: 0, stdout: "" })
    const asShown = ["--from", "2025-11-01 00:00:00.000", "--to", "2025-12-01 00:00"]
    expect((await run("usage", tenant, ...asShown)).json).toEqual((await run("usage", tenant, ...november)).json)
    expect((await run("usage", tenant, ...november)).json).toEqual([
      {
        relay: "r",
        plan: "basic",
        seconds: 777_600,
        intervals: [{ from: "2025-11-01T00:00:00.000Z", to: "2025-11-10T00:00:00.000Z" }]
      },
      {
        relay: "r",
        plan: "growth",
        seconds: 1_337_399.75,
        intervals: [
          { from: "2025-11-10T00:00:00.000Z", to: "2025-11-20T00:00:00.000Z" },
          { from: "2025-11-25T12:30:00.250Z", to: "2025-12-01T00:00:00.000Z" }
        ]
      }
    ])
  })

  it("is from the tenant's creation, and says so when nothing was active or the end is in the future", async () => {
    expect((await run("usage", tenant, "--to", "2025-10-11")).json).toMatchObject([{
      plan: "basic",
      seconds: 43_200,
      intervals: [{ from: "2025-10-10T12:00:00.000Z" }]
    }])
    const nothing = await program(["usage", tenant, "--to", "2025-10-02", "--database", filename], { isTerminal: true })
    expect(nothing).toMatchObject({ code: 0, stdout: "", stderr: "None of this tenant's relays was active then" })
    expect(await run("usage", tenant, "--to", "9999-01-01")).toMatchObject({
      code: 0,
      stderr: "--to is in the future: relays that are active now count as active until then"
    })
  })
})

describe("what cannot be answered", () => {
  it("is one clear line on standard error", async () => {
    const nobody = "0".repeat(64)
    const failures = [
      [["history", "relay", "missing"], "Relay missing does not exist"],
      [["history", "tenant", nobody], `Tenant ${nobody} does not exist`],
      [
        ["history", "relay", "r", "--at", "1"],
        "Relay r did not exist at position 1; it was created at position 2, 2025-10-10"
      ],
      [["history", "relay", "r", "--at", "2025-01-01"], "Relay r did not exist at 2025-01-01 (position 0)"],
      [["history", "relay", "r", "--at", "10"], "There is no position 10 yet; the last one is 9"],
      [
        ["history", "relay", "r", "--at", "2025-11-01T00:00"],
        "--at: Expected a position, an instant with its time zone such as 2026-11-01T00:00Z"
      ],
      [["history", "relay", "r", "--at", "5", "--limit", "1"], "--at shows one state"],
      [["history", "relay", "r", "--limit=-1"], "--limit: Expected an integer of at least 1, got \"-1\""],
      [["history", "relay", "r", "--limit=0"], "--limit: Expected an integer of at least 1, got \"0\""],
      [["history", "relay", "a.b"], "a relay id of 1 to 64"],
      [["history", "tenant", "npub1nonsense"], "not a valid npub"],
      [["history", "tenant", "nsec1vl029mgpspedva04g90vltkh6fvh240zqtv9k0t9af8935ke9laqsnlfe5"], "private key"],
      [["history", "r"], "ID"],
      [["history", "planet", "r"], "Expected relay or tenant, got \"planet\""],
      [["diff", "1", "100"], "There is no position 100 yet"],
      [["diff", "1", "2025-02-30"], "got \"2025-02-30\""],
      [["diff", "1"], "TO"],
      [["diff", "1", "2", "relay"], "Give an id"],
      [["diff", "1", "2", "relay", "missing"], "Relay missing does not exist"],
      [["usage", nobody], `Tenant ${nobody} does not exist`],
      [["usage", "nobody"], "TENANT: Expected a public key"],
      [["usage", tenant, "--from", "5"], "--from: Expected an instant"],
      [["usage", tenant, "--to", "2025-12-01 25:00"], "--to: Expected an instant"],
      [["usage", tenant, "--from", "2025-12-01", "--to", "2025-11-01"], "a period that does not end before it begins"]
    ] as const
    for (const [args, message] of failures) {
      for (const isTerminal of [false, true]) {
        const result = await program([...args, "--database", filename], { isTerminal })
        expect({ code: result.code, stdout: result.stdout }, args.join(" ")).toEqual({ code: 1, stdout: "" })
        expect(result.stderr).toContain(message)
        expect(result.stderr.trim().split("\n")).toHaveLength(1)
        expect(result.stderr).not.toContain("nsec1vl")
      }
    }
  }, 60_000)
})
