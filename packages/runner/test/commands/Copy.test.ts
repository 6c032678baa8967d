import { afterAll, describe, expect, it } from "@effect/vitest"
import { existsSync } from "node:fs"
import { join } from "node:path"
import { caravel, temporary } from "../process.js"
import { program } from "../program.js"

const { path: cwd, remove } = temporary()
afterAll(remove)

const [from, to] = [join(cwd, "caravel.db"), join(cwd, "moved.db")]
const pubkey = "82341f882b6eabcd2ba7f1ef90aad961cf074af15b9ef44a09f9d2a8fbfbe6a2"
const createRelay = (id: string, database: string) =>
  program(["create-relay", "--id", id, "--tenant", pubkey, "--subdomain", id, "--database", database])

describe("copy", () => {
  it("says what was new, until nothing is, and how to switch", async () => {
    await program(["create-tenant", "--pubkey", pubkey, "--database", from, "--create"])
    await createRelay("a", from)
    expect(await program(["copy", from, to], { isTerminal: true })).toMatchObject({
      code: 0,
      stderr: "",
      stdout: "Copied 2 events, and verified: 2 events, 1 tenant, 1 relay\n" +
        "To switch: stop the programs that write to the source, copy once more, and start them on the target"
    })
    await createRelay("b", from)
    expect(await program(["copy", from, to])).toMatchObject({
      code: 0,
      json: [{ ok: true, position: 3, copied: 1, tenants: 1, relays: 2 }]
    })
    expect((await program(["copy", from, to], { isTerminal: true })).stdout).toContain("Copied 0 events")
    expect(await program(["epochs", "--database", to])).toMatchObject({
      json: (await program(["epochs", "--database", from])).json
    })
  }, 60_000)

  it("says in one line why it cannot", async () => {
    await createRelay("c", to)
    const { code, stderr, stdout } = await caravel(cwd, ["copy", "caravel.db", "moved.db"])
    expect({ code, stderr, stdout }).toEqual({
      code: 1,
      stdout: "",
      stderr: "caravel: the target has been written to: its journal ends at position 4, after the source's journal\n"
    })
    expect(await program(["copy", join(cwd, "none.db"), to])).toMatchObject({
      code: 1,
      stderr: expect.stringContaining(`there is no file ${join(cwd, "none.db")}`)
    })
    expect(existsSync(join(cwd, "none.db"))).toBe(false)
    const { stderr: away } = await program(["copy", from, "postgres://caravel:hush@127.0.0.1:1/none"])
    expect(away).toContain("caravel: ")
    expect(away).not.toContain("hush")
  }, 60_000)
})
