import { Command } from "@caravel/domain"
import { Consumer } from "@caravel/pubsub"
import { Sqlite } from "@caravel/sql"
import { afterAll, beforeAll, describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { join } from "node:path"
import { stepLine } from "../../src/terminal/Steps.js"
import { caravel, start, temporary } from "../process.js"
import { program } from "../program.js"

const { path: cwd, remove } = temporary()
afterAll(remove)

const filename = join(cwd, "caravel.db")
const file = join(cwd, "backup.db")
const tenant = "82341f882b6eabcd2ba7f1ef90aad961cf074af15b9ef44a09f9d2a8fbfbe6a2"

const run = (...args: ReadonlyArray<string>) => program([...args, "--database", filename])
const shown = (...args: ReadonlyArray<string>) => program([...args, "--database", filename], { isTerminal: true })

const consume = Effect.raceFirst(
  Consumer.run({ name: "bills", from: "beginning", handle: () => Effect.void }),
  Consumer.awaitPosition("bills", 2)
)

beforeAll(() =>
  Effect.gen(function*() {
    const command = yield* Command
    yield* command.createTenant({ pubkey: tenant })
    yield* command.createRelay({ id: "a", tenant, subdomain: "a" })
    yield* consume
  }).pipe(Effect.provide(Sqlite.layer({ filename })), Effect.runPromise), 60_000)

describe("backup and restore", () => {
  it("copy the database and take it back, and overwrite only what they are told to", async () => {
    expect(await run("restore", file)).toMatchObject({ code: 1, stderr: expect.stringContaining("there is no file") })
    expect(await shown("backup", file)).toMatchObject({
      code: 0,
      stdout: `Backed up to ${file}, and verified: 2 events, 1 tenant, 1 relay`
    })
    expect(await run("backup", file)).toMatchObject({
      code: 1,
      stderr: `caravel: ${file} exists; --force overwrites it`
    })
    const { code, json, stderr } = await caravel(cwd, ["backup", "--force", file, "--database", filename])
    expect({ code, json, stderr }).toMatchObject({
      code: 0,
      json: [{ ok: true, position: 2, tenants: 1, relays: 1 }],
      stderr: ""
    })
    expect((await run("activate-relay", "--id", "a")).json).toMatchObject([{ position: 3 }])
    expect(await run("restore", file)).toMatchObject({
      code: 1,
      stderr: `caravel: ${filename} exists; --force replaces it, and what happened since the backup is lost`
    })
    const restored = await shown("restore", "--force", file)
    expect(restored.code).toBe(0)
    expect(restored.stdout.split("\n")[0]).toBe(`Restored ${filename}: 2 events, 1 tenant, 1 relay`)
    expect((await run("activity")).json.map(({ position }: { position: number }) => position)).toEqual([1, 2])
  }, 60_000)

  it("refuse earlier positions, and need their consumers reset", async () => {
    const { json: [before, now] } = await run("epochs")
    expect([before, now]).toMatchObject([{ position: 0 }, { position: 2 }])
    expect((await shown("epochs")).stdout.split("\n")).toEqual([
      expect.stringMatching(/^epoch +begins after +at \(UTC\)$/),
      expect.stringMatching(new RegExp(`^${before.epoch} +0 +20`)),
      expect.stringMatching(new RegExp(`^${now.epoch} +2 +20`))
    ])
    expect((await run("activity", "--since", "3")).stderr).toContain(
      "Position 3 is not in this journal, which ends at 2"
    )
    await run("activate-relay", "--id", "a")
    expect((await run("activity", "--since", "3", "--epoch", before.epoch)).stderr).toContain(
      `Position 3 belongs to epoch ${before.epoch}, but the journal was restored`
    )
    expect((await run("activity", "--since", "2", "--epoch", before.epoch)).json).toMatchObject([{ position: 3 }])
    expect((await run("activity", "--since", "2", "--epoch", now.epoch)).json).toMatchObject([{ position: 3 }])
    expect((await run("activity", "--since", "2", "--epoch", "x")).stderr).toContain(
      "Expected an epoch: the UUID that caravel epochs shows, got \"x\""
    )

    expect((await shown("consumers")).stdout).toMatch(/bills +2 +1 .* of an earlier epoch: consumers reset/)
    expect((await run("consumers")).json).toMatchObject([{ name: "bills", position: 2, epoch: before.epoch }])
    expect((await run("consumers", "reset", "bills", "--to", "2", "--yes")).code).toBe(0)
    expect((await run("consumers")).json).toMatchObject([{ name: "bills", position: 2, epoch: now.epoch }])
    await Effect.runPromise(Effect.provide(consume, Sqlite.layer({ filename })))
  }, 60_000)

  it("end who follows with what has happened", async () => {
    const follower = start(["activity", "--follow", "--since", "3", "--database", filename], cwd)
    let stderr = ""
    let stdout = ""
    follower.stderr.on("data", (data) => stderr += data)
    const first = new Promise((resolve) =>
      follower.stdout.on("data", (data) => {
        stdout += data
        resolve(data)
      })
    )
    const ended = new Promise((resolve) => follower.on("close", resolve))
    await run("activate-relay", "--id", "a")
    await first
    expect((await run("restore", "--force", file)).code).toBe(0)
    expect(await ended).toBe(1)
    // Before it stands what was logged.
    expect(stderr).toMatch(/^caravel: Position 4 belongs to epoch .*, but the journal was restored: .*\n$/m)
    expect(stdout.trim().split("\n")).toHaveLength(1)
  }, 60_000)

  it("show how far they are", () => {
    expect(stepLine("copying", 3, 4)).toBe(`${"█".repeat(18)}${"░".repeat(6)}  75%  copying`)
    expect(stepLine("checking", 0, 0)).toBe("checking…")
  })
})
