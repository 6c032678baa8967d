import { Command, Journal } from "@caravel/domain"
import { Consumer } from "@caravel/pubsub"
import { Sqlite } from "@caravel/sql"
import { afterAll, beforeAll, describe, expect, it } from "@effect/vitest"
import { DateTime, Deferred, Effect, Fiber, Logger, LogLevel, Schedule } from "effect"
import { join } from "node:path"
import { caravel, temporary } from "../process.js"
import { program } from "../program.js"

const { path: cwd, remove } = temporary()
afterAll(remove)

const filename = join(cwd, "consumers.db")
const database = ["--database", filename]
const tenant = "82341f882b6eabcd2ba7f1ef90aad961cf074af15b9ef44a09f9d2a8fbfbe6a2"
const secret = "nostr+walletconnect://b0b5ecre7?secret=b0b5ecre7"

const shown = (...args: ReadonlyArray<string>) =>
  program([...args, ...database], { isTerminal: true }).then(({ stdout }) => stdout)

/** Runs consumers until they have done what there is: `mail` parks what is about relay `bad`, `bills` passes all. */
const consume = Effect.gen(function*() {
  const head = yield* Effect.flatMap(Journal, ({ head }) => head)
  const mail = Consumer.run({
    name: "mail",
    from: "beginning",
    onFailure: "parkResource",
    retry: Schedule.stop,
    handle: ({ resourceId }) => resourceId === "bad" ? Effect.fail(`no mail\nto ${secret}`) : Effect.void
  })
  const bills = Consumer.run({ name: "bills", from: "beginning", handle: () => Effect.void })
  yield* Effect.raceFirst(
    Effect.all([mail, bills], { concurrency: "unbounded", discard: true }),
    Effect.all([Consumer.awaitPosition("mail", head), Consumer.awaitPosition("bills", head)])
  )
})

beforeAll(() =>
  Effect.gen(function*() {
    const command = yield* Command
    yield* command.createTenant({ pubkey: tenant })
    yield* command.createRelay({ id: "bad", tenant, subdomain: "bad" })
    yield* command.createRelay({ id: "good", tenant, subdomain: "good" })
    yield* command.deactivateRelay({ id: "bad" })
    yield* command.activateRelay({ id: "bad" })
    yield* consume
    yield* command.updateRelay({ id: "good", infoName: "Good" })
  }).pipe(Effect.provide(Sqlite.layer({ filename })), Effect.runPromise), 60_000)

describe("consumers", () => {
  it("are listed by another process, with the backlog of each", async () => {
    const { code, json, stderr, stdout } = await caravel(cwd, ["consumers", ...database])
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" })
    expect(json).toMatchObject([
      { name: "bills", position: 5, activities: 1, parked: 0, owner: null, lastError: null },
      { name: "mail", position: 5, activities: 1, parked: 3, owner: null, attempts: 0 }
    ])
    expect(json[0].seconds).toBeGreaterThanOrEqual(0)
    expect(stdout).not.toContain("b0b5ecre7")
    // The database may stand before the words.
    expect((await program([...database, "consumers", "parked", "mail"])).json).toHaveLength(3)
    expect((await program([`--database=${filename}`, "consumers"])).json).toHaveLength(2)
  }, 60_000)

  it("are a table on a terminal, as are parked activities, with errors in one line and without secrets", async () => {
    expect(await shown("consumers")).toMatch(
      /^name +position +behind +waiting +parked +status\nbills +5 +1 +\S.* +0 +stopped\nmail +5 +1 +\S.* +3 +stopped$/
    )
    expect((await shown("consumers", "parked", "mail")).split("\n")).toEqual([
      expect.stringMatching(/^position +activity +resource +attempts +error$/),
      expect.stringMatching(/^2 +create_relay +bad +1 +.*no mail to <redacted>/),
      expect.stringMatching(/^4 +deactivate_relay +bad +0 +waits behind an earlier one$/),
      expect.stringMatching(/^5 +activate_relay +bad +0 /)
    ])
    const { json, stdout } = await program(["consumers", "parked", "mail", ...database])
    expect(json).toMatchObject([
      { position: 2, activityType: "create_relay", resourceId: "bad", attempts: 1 },
      { position: 4, attempts: 0, error: null },
      { position: 5, attempts: 0, error: null }
    ])
    expect(stdout).not.toContain("b0b5ecre7")
    const nothing = await program(["consumers", "parked", "bills", ...database], { isTerminal: true })
    expect(nothing).toMatchObject({ code: 0, stdout: "", stderr: "bills has no parked activities" })
  })

  it("lose no word of what failed in a terminal of 60 columns", async () => {
    const now = DateTime.unsafeNow().epochMillis
    for (const args of [["consumers"], ["consumers", "parked", "mail"]]) {
      const { stdout } = await program([...args, ...database], { isTerminal: true, columns: 60, now })
      for (const line of stdout.split("\n")) expect(line.length).toBeLessThanOrEqual(60)
      expect(stdout).not.toContain("…")
      const wide = await program([...args, ...database], { isTerminal: true, columns: 200, now })
      expect(stdout.split(/\s+/).sort()).toEqual(wide.stdout.split(/\s+/).sort())
    }
  })

  it("lose nothing by a wrong word: an unknown name, a wrong position, or no --yes", async () => {
    const failures = [
      [["parked", "nobody"], "no consumer \"nobody\""],
      [["drop", "nobody", "--yes"], "no consumer \"nobody\""],
      [["reset", "nobody", "--to", "0", "--yes"], "no consumer \"nobody\""],
      [["replay", "nobody"], "no consumer \"nobody\""],
      [["replay", "mail"], "No program runs mail"],
      [["drop", "mail"], "mail has 3 activities parked; --yes"],
      [["drop", "mail", "--position", "4", "--position", "3"], "nothing parked at position 3; nothing was dropped"],
      [["drop", "mail", "--position", "x"], "--position: Expected an integer of at least 1, got \"x\""],
      [["reset", "mail", "--to", "1"], "handle the activities after 1 again"],
      [["reset", "mail", "--to", "6"], "skip the activities up to 6"],
      [["reset", "mail", "--to", "7", "--yes"], "There is no position 7 yet; the last one is 6"],
      [["reset", "mail", "--to", "-1", "--yes"], "at least 0"],
      [["reset", "mail"], "--to"],
      [["parked"], "NAME"],
      [["nonsense"], "nonsense"]
    ] as const
    for (const [args, message] of failures) {
      const { code, stderr, stdout } = await program(["consumers", ...args, ...database])
      expect({ code, stdout }, args.join(" ")).toEqual({ code: 1, stdout: "" })
      expect(stderr).toContain(message)
      expect(stderr.trim().split("\n")).toHaveLength(1)
    }
    expect((await program(["consumers", ...database])).json).toMatchObject([{ position: 5 }, {
      position: 5,
      parked: 3
    }])
  }, 60_000)

  it("drop parked activities at a position, or all, and continue from another position", async () => {
    const words = (...args: ReadonlyArray<string>) => program(["consumers", ...args, ...database])
    expect((await words("drop", "mail", "--position", "2", "--position=4")).json).toEqual([
      { name: "mail", dropped: 2 }
    ])
    expect((await words("parked", "mail")).json).toMatchObject([{ position: 5 }])
    expect((await words("drop", "mail", "--position", "5")).json).toEqual([{ name: "mail", dropped: 1 }])
    expect((await words("reset", "mail", "--to", "4", "--yes")).code).toBe(0)
    await Effect.runPromise(Effect.provide(consume, Sqlite.layer({ filename })))
    expect((await words("drop", "mail", "--position=5")).json).toEqual([{ name: "mail", dropped: 1 }])
    expect((await words("reset", "mail", "--to", "4", "--yes")).code).toBe(0)
    await Effect.runPromise(Effect.provide(consume, Sqlite.layer({ filename })))
    expect(await shown("consumers", "drop", "mail", "--yes")).toBe("Dropped 1 activity")
    expect((await words("parked", "mail")).json).toEqual([])

    expect((await words("reset", "mail", "--to", "3", "--yes")).json).toEqual([{ name: "mail", position: 3 }])
    await Effect.runPromise(Effect.provide(consume, Sqlite.layer({ filename })))
    expect((await words("parked", "mail")).json).toMatchObject([{ position: 4 }, { position: 5 }])
    expect(await shown("consumers", "reset", "mail", "--to", "0", "--yes")).toBe("mail continues after position 0")
    expect((await words()).json).toMatchObject([{ name: "bills", activities: 0 }, { position: 0, parked: 0 }])
  }, 60_000)

  it("have their parked activities replayed by the program that runs them", async () => {
    await Effect.runPromise(Effect.provide(consume, Sqlite.layer({ filename })))
    const run = (fails: boolean) =>
      Effect.runFork(
        Consumer.run({
          name: "mail",
          from: "beginning",
          handle: () => fails ? Effect.fail("still no mail") : Effect.void
        }).pipe(Effect.provide(Sqlite.layer({ filename })))
      )
    const owned = Consumer.lag("mail").pipe(
      Effect.repeat({ until: ({ owner }) => owner !== null, schedule: Schedule.spaced("5 millis") }),
      Effect.provide(Sqlite.layer({ filename }))
    )
    const failing = run(true)
    await Effect.runPromise(owned)
    expect(await program(["consumers", "replay", "mail", ...database], { isTerminal: true })).toMatchObject({
      code: 1,
      stdout: expect.stringMatching(/^3 activities failed again or wait behind/)
    })
    const again = await caravel(cwd, ["consumers", "replay", "mail", ...database])
    expect([again.code, again.json]).toEqual([1, [{ name: "mail", parked: 3 }]])
    expect(again.stderr).not.toContain("caravel:")
    expect(await program(["consumers", "replay", "mail", ...database], { closedAfter: 0 })).toMatchObject({
      code: 1,
      stdout: "",
      stderr: expect.stringContaining("caravel: Standard output was closed before the command had ended")
    })
    await Effect.runPromise(Fiber.interrupt(failing))
    const curing = run(false)
    await Effect.runPromise(owned)
    const { code, json } = await caravel(cwd, ["consumers", "replay", "mail", ...database])
    expect({ code, json }).toEqual({ code: 0, json: [{ name: "mail", parked: 0 }] })
    expect(await shown("consumers", "replay", "mail")).toBe("mail has no parked activities left")
    await Effect.runPromise(Fiber.interrupt(curing))
  }, 60_000)

  it("have help, two words together", async () => {
    for (const name of ["consumers", "consumers parked", "consumers replay", "consumers drop", "consumers reset"]) {
      const { code, stdout } = await program([...name.split(" "), "--help"])
      expect(code).toBe(0)
      expect(stdout).toContain(`Usage: caravel ${name} [options]${name === "consumers" ? "" : " NAME"}\n`)
    }
  })

  it("say where they have halted, and where one was cut off", async () => {
    const path = join(cwd, "halted.db")
    await Effect.gen(function*() {
      yield* (yield* Command).createTenant({ pubkey: tenant })
      const options = { from: "beginning", retry: Schedule.recurs(1) } as const
      yield* Effect.exit(Consumer.run({ ...options, name: "halts", handle: () => Effect.fail(`no ${secret}`) }))
      yield* Effect.exit(
        Consumer.run({ ...options, name: "once", retry: Schedule.stop, handle: () => Effect.fail("no") })
      )
      const begun = yield* Deferred.make<void>()
      const handle = () => Effect.zipRight(Deferred.succeed(begun, undefined), Effect.never)
      const slow = yield* Effect.fork(Consumer.run({ ...options, name: "slow", stopTimeout: "1 millis", handle }))
      yield* Deferred.await(begun)
      yield* Fiber.interrupt(slow)
    }).pipe(
      Logger.withMinimumLogLevel(LogLevel.None),
      Effect.provide(Sqlite.layer({ filename: path })),
      Effect.runPromise
    )
    const { stdout } = await program(["consumers", "--database", path], { isTerminal: true })
    expect(stdout).toMatch(/halts .* halted at 1 after 2 attempts: no <redacted>/)
    expect(stdout).toMatch(/once .* halted at 1 after 1 attempt: no/)
    expect(stdout).toMatch(/slow .* stopped at 1: StopTimeout: /)
  })
})
