import { Command } from "@caravel/domain"
import { Sqlite } from "@caravel/sql"
import { SqlClient } from "@effect/sql/SqlClient"
import { afterAll, beforeAll, describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { join } from "node:path"
import { progressLine } from "../../src/terminal/ProgressBar.js"
import { caravel, temporary } from "../process.js"
import { program } from "../program.js"

const { path: cwd, remove } = temporary()
afterAll(remove)

const filename = join(cwd, "verify.db")
const tenant = "82341f882b6eabcd2ba7f1ef90aad961cf074af15b9ef44a09f9d2a8fbfbe6a2"
const nwcUrl = "nostr+walletconnect://b0b5ecre7?secret=b0b5ecre7"

const run = (...args: ReadonlyArray<string>) => program([...args, "--database", filename])
const shown = (...args: ReadonlyArray<string>) => program([...args, "--database", filename], { isTerminal: true })

const behindTheBack = (...statements: ReadonlyArray<string>) =>
  Effect.flatMap(SqlClient, (sql) => Effect.forEach(statements, (statement) => sql.unsafe(statement))).pipe(
    Effect.provide(Sqlite.layer({ filename })),
    Effect.runPromise
  )

beforeAll(() =>
  Effect.gen(function*() {
    const command = yield* Command
    yield* command.createTenant({ pubkey: tenant, nwcUrl })
    yield* command.createRelay({ id: "a", tenant, subdomain: "a", plan: "basic" })
    yield* command.createRelay({ id: "b", tenant, subdomain: "b" })
    yield* command.deactivateRelay({ id: "b" })
  }).pipe(Effect.provide(Sqlite.layer({ filename })), Effect.runPromise), 60_000)

const right = "4 events, 1 tenant, 2 relays, 1 secret"

describe("verify and rebuild", () => {
  it("say in one sentence that nothing is wrong", async () => {
    expect(await shown("verify")).toMatchObject({ code: 0, stdout: `The rows agree with the journal: ${right}` })
    expect(await shown("rebuild")).toMatchObject({ code: 0, stdout: `The rows agree with the journal: ${right}` })
    expect(await shown("rebuild", "--yes")).toMatchObject({ code: 0, stdout: `Nothing to repair: ${right}` })
    const { code, json, stderr } = await caravel(cwd, ["verify", "--database", filename])
    expect({ code, json, stderr }).toEqual({
      code: 0,
      json: [{ ok: true, differences: 0, events: 4, tenants: 1, relays: 2, secrets: 1 }],
      stderr: ""
    })
  }, 60_000)

  it("name what differs, and repair it with --yes", async () => {
    await behindTheBack(
      "UPDATE caravel_relay SET plan = 'free', info_name = 'a\u0007b' WHERE id = 'a'",
      "DELETE FROM caravel_relay WHERE id = 'b'",
      `UPDATE caravel_tenant SET nwc_error = '${nwcUrl}'`
    )
    const lines = [
      "tenant 82341f88…fbfbe6a2  nwcError is \"<redacted>\", and the journal says null (position 1)",
      "relay a                   plan is \"free\", and the journal says \"basic\" (position 2)",
      "relay a                   infoName is \"a\\u0007b\", and the journal says \"\" (position 2)",
      "relay b                   has no row, but the journal has it at version 2 (position 4)",
      `4 differences in ${right}`,
      "caravel rebuild --yes repairs them"
    ]
    for (const name of ["verify", "rebuild"]) {
      const { code, stderr, stdout } = await shown(name)
      expect({ code, stderr, stdout: stdout.split("\n") }).toEqual({ code: 1, stderr: "", stdout: lines })
    }
    const { code, json, stdout } = await run("verify")
    expect(code).toBe(1)
    expect(stdout).not.toContain("b0b5ecre7")
    expect(json).toMatchObject([
      { kind: "field", resourceType: "tenant", field: "nwcError", position: 1 },
      { kind: "field", resourceType: "relay", resourceId: "a", field: "plan", expected: "basic", found: "free" },
      { field: "infoName" },
      { kind: "missing", resourceId: "b", field: null, expected: { status: "inactive" }, found: null, position: 4 },
      { ok: false, differences: 4 }
    ])
    expect(await shown("rebuild", "--yes")).toMatchObject({ code: 0, stdout: `Repaired 3 rows: ${right}` })
    expect((await run("rebuild", "--yes")).json).toMatchObject([{ ok: true, written: 0, events: 4 }])
    expect(await run("verify")).toMatchObject({ code: 0 })
  }, 60_000)

  it("fail if the end is not read, which says whether all is well", async () => {
    for (const args of [["verify"], ["rebuild"], ["rebuild", "--yes"]]) {
      const closed = await program([...args, "--database", filename], { closedAfter: 0 })
      expect(closed).toMatchObject({
        code: 1,
        stdout: "",
        stderr: "caravel: Standard output was closed before the command had ended"
      })
    }
  })

  it("say what a rebuild cannot repair", async () => {
    await behindTheBack("PRAGMA foreign_keys = OFF", "DELETE FROM caravel_secret")
    const lost =
      "tenant 82341f88…fbfbe6a2  has lost its wallet URL; set it again with caravel update-tenant (position 1)"
    const { code, stdout } = await shown("verify")
    expect({ code, stdout: stdout.split("\n") }).toMatchObject({
      code: 1,
      stdout: [lost, /^1 difference in/, "A rebuild cannot repair what the journal does not have"].map((line) =>
        typeof line === "string" ? line : expect.stringMatching(line)
      )
    })
    expect(await run("rebuild", "--yes")).toMatchObject({ code: 1, json: [{ ok: false, written: 0 }] })

    await behindTheBack("DROP TRIGGER caravel_event_undeleted", "DELETE FROM caravel_event WHERE position = 3")
    const damaged = await shown("verify")
    expect(damaged.stdout).toContain(
      "relay b                   the event at position 4 has version 2, where 1 was expected"
    )
    expect(damaged.stdout).toContain("event 3                   is missing from the journal")
    expect(damaged.stdout).toContain("The journal itself is damaged: restore a backup")
    const { code: failed, stderr } = await run("rebuild", "--yes")
    expect(failed).toBe(1)
    expect(stderr).toContain("nothing was changed")
  }, 60_000)

  it("show how far they are", () => {
    expect(progressLine(250_000, 1_000_000, "event", 2)).toBe(
      "██████░░░░░░░░░░░░░░░░░░  25%  250,000 of 1,000,000 events, 125,000/s, 6 s left"
    )
    expect(progressLine(1000, 1_000_000, "event", 1)).toContain("1,000/s, 16 min 39 s left")
    expect(progressLine(0, 1_000_000, "event", 0)).toBe(`${"░".repeat(24)}   0%  0 of 1,000,000 events, 0/s`)
  })
})
