import { Command } from "@caravel/domain"
import { Sqlite } from "@caravel/sql"
import * as NodeContext from "@effect/platform-node/NodeContext"
import { afterAll, beforeAll, describe, expect, it } from "@effect/vitest"
import { DateTime, Effect, Either, Fiber, TestClock } from "effect"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { main } from "../../src/Cli.js"
import { watched } from "../../src/cli/Format.js"
import * as Values from "../../src/cli/Values.js"
import { Failed, makeStyle, Output, OutputClosed } from "../../src/terminal/Output.js"
import { temporary } from "../process.js"
import { at, program } from "../program.js"

const { path: cwd, remove } = temporary()
afterAll(remove)

const filename = join(cwd, "read.db")
const tenant = "82341f882b6eabcd2ba7f1ef90aad961cf074af15b9ef44a09f9d2a8fbfbe6a2"
const other = "ab".repeat(32)
const now = Date.parse("2026-03-10T12:00:00Z")

beforeAll(() =>
  Effect.gen(function*() {
    const command = yield* Command
    const nwcUrl = "nostr+walletconnect://wallet?secret=5c4e"
    yield* command.createTenant({ pubkey: tenant, nwcUrl }).pipe(at("2026-01-01T00:00:00Z"))
    yield* command.createTenant({ pubkey: other }).pipe(at("2026-02-01T00:00:00Z"))
    yield* command.createRelay({ id: "a", tenant, subdomain: "zoo", plan: "basic" }).pipe(at("2026-03-01T00:00:00Z"))
    yield* command.createRelay({ id: "b", tenant: other, subdomain: "alpha" }).pipe(at("2026-03-09T10:00:00Z"))
    yield* command.failRelaySync({ id: "b" }, "no, \"really\"").pipe(
      Command.withMetadata({ actor: "worker" }),
      at("2026-03-09T23:30:00Z")
    )
    yield* command.completeRelaySync("a").pipe(at("2026-03-10T11:30:00Z"))
    yield* command.markRelayDelinquent({ id: "a" }).pipe(
      Command.withMetadata({ actor: "billing" }),
      at("2026-03-10T11:45:00Z")
    )
    yield* command.setTenantPastDue(tenant).pipe(at("2026-03-10T11:50:00Z"))
  }).pipe(Effect.provide(Sqlite.layer({ filename })), Effect.runPromise), 60_000)

type Options = Parameters<typeof program>[1]

const run = (args: ReadonlyArray<string>, options: Options = {}) =>
  program([...args, "--database", filename], { now, ...options })

const positions = async (...args: ReadonlyArray<string>) => {
  const { code, json, stderr } = await run(["activity", ...args])
  expect({ code, stderr }, args.join(" ")).toEqual({ code: 0, stderr: "" })
  return json.map(({ position }) => position)
}

describe("activity", () => {
  it("is selected by moments, by what it is about, and by its end", async () => {
    expect(await positions()).toEqual([1, 2, 3, 4, 5, 6, 7])
    expect(await positions("--since", "1h")).toEqual([6, 7])
    expect(await positions("--since", "25m")).toEqual([7])
    expect(await positions("--since", "7d", "--until", "yesterday")).toEqual([])
    expect(await positions("--since", "yesterday", "--until", "today")).toEqual([4, 5])
    expect(await positions("--since", "2026-03-01 00:00:00", "--until", "5")).toEqual([4, 5])
    expect(await positions("--since", "2026-02-01T00:00:00Z")).toEqual([3, 4, 5, 6, 7])
    expect(await positions("--since", "now")).toEqual([])
    expect(await positions("--type", "create_tenant", "--type", "create_relay")).toEqual([1, 2, 3, 4])
    expect(await positions("--relay", "b")).toEqual([4, 5])
    expect(await positions("--tenant", tenant)).toEqual([1, 3, 6, 7])
    expect(await positions("--actor", "billing")).toEqual([7])
    expect(await positions("--last", "2")).toEqual([6, 7])
    expect(await positions("--last", "2", "--relay", "b")).toEqual([4, 5])
    expect(await positions("--last", "1", "--actor", "worker")).toEqual([5])
    expect(await positions("--last", "1", "--until", "3")).toEqual([3])
    expect(await positions("--last", "9", "--since", "3")).toEqual([4, 5, 6, 7])
  })

  it("finds its last ones however far apart they are", async () => {
    const path = join(cwd, "long.db")
    await Effect.gen(function*() {
      const command = yield* Command
      yield* command.createTenant({ pubkey: tenant })
      yield* command.createTenant({ pubkey: other })
      for (let n = 0; n < 3; n++) {
        yield* command.updateTenant({ pubkey: other, stripeCustomerId: `cus_${n}` })
        yield* command.submit(
          Array.from(
            { length: 900 },
            (_, i) => ({ _tag: "SetTenantNwcError" as const, pubkey: tenant, nwcError: `${i}` })
          )
        )
      }
    }).pipe(Effect.provide(Sqlite.layer({ filename: path })), Effect.runPromise)
    const last = async (count: number) =>
      (await program(["activity", "--last", `${count}`, "--tenant", other, "--database", path])).json.map(
        ({ position }) => position
      )
    expect(await last(1)).toEqual([1805])
    expect(await last(3)).toEqual([3, 904, 1805])
    expect(await last(9)).toEqual([2, 3, 904, 1805])
  }, 60_000)

  it("refuses options that contradict one another", async () => {
    const failures = [
      [["--last", "1", "--limit", "1"], "--last shows the newest"],
      [["--limit", "0"], "--limit: Expected an integer of at least 1, got \"0\""],
      [["--follow", "--until", "1h"], "--follow never ends"],
      [["--epoch", "11111111-1111-4111-8111-111111111111", "--since", "1h"], "--epoch belongs to a position"],
      [["--since", "1y"], "--since: Expected a position, an instant"],
      [["--type", "created"], "--type: Expected create_tenant or"],
      [["--since", "99"], "Position 99 is not in this journal"]
    ] as const
    for (const [args, message] of failures) {
      const { code, stderr, stdout } = await run(["activity", ...args])
      expect({ code, stdout }, args.join(" ")).toEqual({ code: 1, stdout: "" })
      expect(stderr).toContain(message)
    }
  })
})

describe("lists", () => {
  const ids = async (...args: ReadonlyArray<string>) => {
    const { code, json, stderr } = await run(args)
    expect({ code, stderr }, args.join(" ")).toEqual({ code: 0, stderr: "" })
    return json.map(({ id, pubkey }) => id ?? (pubkey === tenant ? "one" : "other"))
  }

  it("are filtered and sorted", async () => {
    expect(await ids("relay", "--status", "delinquent")).toEqual(["a"])
    expect(await ids("relay", "--status", "delinquent", "--status", "active")).toEqual(["a", "b"])
    expect(await ids("relay", "--sync", "failed")).toEqual(["b"])
    expect(await ids("relay", "--sync", "done", "--plan", "basic")).toEqual(["a"])
    expect(await ids("relay", "--plan", "growth")).toEqual([])
    expect(await ids("relay", "--tenant", other, "--status", "inactive")).toEqual([])
    expect(await ids("relay", "--sort", "subdomain")).toEqual(["b", "a"])
    expect(await ids("relay", "--sort", "created-at")).toEqual(["a", "b"])
    expect(await ids("relay", "--sort", "-createdAt")).toEqual(["b", "a"])
    expect(await ids("tenant", "--past-due", "true")).toEqual(["one"])
    expect(await ids("tenant", "--past-due", "false")).toEqual(["other"])
    expect(await ids("tenant", "--wallet", "set")).toEqual(["one"])
    expect(await ids("tenant", "--sort", "pastDueAt")).toEqual(["one", "other"])
    expect(await ids("tenant", "--sort", "-pastDueAt")).toEqual(["one", "other"])
    const refused = await run(["relay", "a", "--status", "active"])
    expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining("Give an id, --subdomain, or") })
    expect((await run(["tenant", tenant, "--sort", "pubkey"])).stderr).toContain("are for a list")
    expect((await run(["relay", "--sort", "nothing"])).stderr).toContain("--sort: Expected one of id, ")
    expect((await run(["relay", "--plan", "growth"], { isTerminal: true })).stderr).toBe("No relay matches")
  })
})

describe("the form", () => {
  it("is JSON lines, a table or CSV, on a terminal and elsewhere", async () => {
    const json = await run(["relay", "-o", "json"], { isTerminal: true })
    expect(json.json).toMatchObject([{ id: "a" }, { id: "b" }])
    const table = await run(["relay", "--output", "table"])
    expect(table.stdout).toMatch(/^id +subdomain .*\na +zoo /)
    const csv = await run(["relay", "-o", "csv"], { isTerminal: true })
    const [titles = "", ...rows] = csv.stdout.split("\n")
    expect(titles.split(",").slice(0, 2)).toEqual(["id", "tenant"])
    expect(rows).toHaveLength(2)
    expect(rows[1]).toContain(",\"no, \"\"really\"\"\",")
    const activities = (await run(["activity", "--last", "1", "-o", "csv"])).stdout.split("\n")
    expect(activities[0]).toMatch(/^position,.*,metadata$/)
    expect(activities[1]).toMatch(/,"\{""actor"":""billing""\}"$/)
    expect((await run(["relay", "--json", "-o", "csv"])).stderr).toContain("--json and --output name two forms")
    expect((await run(["relay", "-o", "xml"])).stderr).toContain("--output: Expected json or table or csv")
  })

  it("has times in the zone of --tz or TZ, and reads times without a zone in it", async () => {
    const tz = ["--tz", "Europe/Berlin"]
    const { stdout } = await run(["activity", "--last", "1", ...tz], { isTerminal: true })
    expect(stdout.split("\n")).toEqual([
      expect.stringMatching(/^position {2}time \(Europe\/Berlin\) {2}activity /),
      expect.stringMatching(/^ {7}7 {2}2026-03-10 12:45:00 {3}deactivate_relay /)
    ])
    const berlin = { env: { TZ: "Europe/Berlin" }, isTerminal: true }
    expect((await run(["activity", "--last", "1"], berlin)).stdout).toBe(stdout)
    expect((await run(["activity", "--last", "1", "--tz", "UTC"], berlin)).stdout).toMatch(
      /time \(UTC\) .*\n.*11:45:00/
    )
    // What some systems have in TZ is no name.
    expect((await run(["activity", "--last", "1"], { env: { TZ: ":/etc/localtime" }, isTerminal: true })).stdout)
      .toMatch(/time \(UTC\)/)
    // JSON stays in UTC.
    expect((await run(["activity", "--last", "1", ...tz])).json).toMatchObject([{
      createdAt: "2026-03-10T11:45:00.000Z"
    }])
    expect(await positions("--since", "2026-03-10 12:30", ...tz)).toEqual([7])
    // There, it was the 10th already when worker failed.
    expect(await positions("--since", "today", ...tz)).toEqual([5, 6, 7])
    expect((await run(["history", "relay", "b", ...tz], { isTerminal: true })).stdout).toContain("2026-03-10 00:30:00")
    const history = await run(["history", "relay", "a", "--at", "2026-03-10 12:40", ...tz], { isTerminal: true })
    expect(history.stdout).toContain("status                    active")
    expect((await run(["usage", other, "--from", "2026-03-09", ...tz], { isTerminal: true })).stdout).toContain(
      "2026-03-09 11:00:00.000"
    )
    const one = await run(["relay", "b", ...tz], { isTerminal: true })
    expect(one.stdout).toMatch(/^createdAt +20\d\d-\d\d-\d\d \d\d:\d\d:\d\d \(Europe\/Berlin\)$/m)
    expect((await run(["activity", "--tz", "Nowhere"])).stderr).toContain("--tz: Expected a time zone")
  })

  it("has days that begin when the clock changes at midnight", () => {
    // In Cairo, the clock went from 00:00 to 01:00 on this day.
    const here = {
      now: DateTime.unsafeMake("2026-04-24T12:00:00Z"),
      zone: DateTime.zoneUnsafeMakeNamed("Africa/Cairo")
    }
    const read = (text: string) => Either.map(Values.instant(text), (at) => DateTime.formatIso(at(here)))
    expect(read("yesterday")).toEqual(Either.right("2026-04-22T22:00:00.000Z"))
    expect(read("today")).toEqual(Either.right("2026-04-23T22:00:00.000Z"))
    expect(read("2026-04-24")).toEqual(Either.right("2026-04-23T22:00:00.000Z"))
  })

  it("goes through a pager on a terminal", async () => {
    const shown = join(cwd, "paged")
    const env = { PAGER: `cat > ${shown}` }
    const { stdout } = await run(["relay", "--pager"], { env, isTerminal: true })
    expect(stdout).toBe("")
    expect(readFileSync(shown, "utf8")).toBe(`${(await run(["relay"], { isTerminal: true })).stdout}\n`)
    expect((await run(["relay", "--pager"], { env })).json).toHaveLength(2)
  })

  it("ends with its pager, and fails if that cannot be run", async () => {
    const follow = ["activity", "--follow", "--since", "1h", "--pager"]
    expect((await run(follow, { env: { PAGER: "true" }, isTerminal: true })).code).toBe(0)
    const missing = await run(["relay", "--pager"], { env: { PAGER: "no-such-pager" }, isTerminal: true })
    expect(missing).toMatchObject({
      code: 1,
      stderr: "caravel: The pager no-such-pager cannot be run; set PAGER, or leave --pager out"
    })
  })

  /** A terminal that is closed after some screens. */
  const terminal = (count: number) => {
    const screens: Array<string> = []
    const output = Output.of({
      print: (text) =>
        Effect.suspend(() => {
          screens.push(text)
          return screens.length === count ? Effect.fail(new OutputClosed()) : Effect.void
        }),
      note: () => Effect.void,
      status: () => Effect.void,
      isTerminal: true,
      isErrorTerminal: true,
      columns: 100,
      style: makeStyle(false),
      errorStyle: makeStyle(false)
    })
    return { screens, output }
  }

  it.effect("with --watch shows an error until it succeeds again, unless it is the first", () =>
    Effect.gen(function*() {
      const { output, screens } = terminal(3)
      const results: Array<Effect.Effect<void, Failed>> = [Effect.void, new Failed({ message: "gone" }), Effect.void]
      const shows = watched(() =>
        Effect.zipRight(Effect.flatMap(Output, ({ print }) => print("rows")), results.shift()!)
      )
      const watching = yield* shows({ watch: true }).pipe(
        Effect.provideService(Output, output),
        Effect.flip,
        Effect.fork
      )
      yield* TestClock.adjust("4 seconds")
      expect(yield* Fiber.join(watching)).toEqual(new OutputClosed())
      expect(screens.map((screen) => screen.replace("\u001b[H\u001b[2J", ""))).toEqual(["rows", "rows\ngone", "rows"])
      const failing = watched(() => new Failed({ message: "no such thing" }))
      expect(yield* Effect.flip(Effect.provideService(failing({ watch: true }), Output, output)))
        .toEqual(new Failed({ message: "no such thing" }))
    }))

  it("is shown again with --watch, until it is ended", async () => {
    const { output, screens } = terminal(2)
    await main(["node", "caravel", "relay", "--status", "active", "--watch", "--database", filename]).pipe(
      Effect.provideService(Output, output),
      Effect.provide(NodeContext.layer),
      Effect.runPromise
    )
    const table = await run(["relay", "--status", "active"], { isTerminal: true })
    expect(screens).toEqual([1, 2].map(() => `\u001b[H\u001b[2J${table.stdout}`))
    expect((await run(["consumers", "--watch"])).stderr).toContain("--watch needs a terminal")
  })
})

// The last tests, as they write.
it("CSV has no cell that a spreadsheet would compute", async () => {
  await run(["update-relay", "--id", "a", "--info-name", "=1+1"])
  expect((await run(["relay", "a", "-o", "csv"])).stdout).toContain(",'=1+1,")
})

it("what would move the cursor is escaped on a terminal, and only there", async () => {
  const name = "\u001b[2J\u009b2J\u202e\u{e0041}\u00e9"
  await run(["create-relay", "--id", "moved", "--tenant", tenant, "--subdomain", "moved", "--info-name", name])
  for (const kind of ["csv", "json"]) {
    const { stdout } = await run(["relay", "moved", "-o", kind], { isTerminal: true })
    expect(stdout).toContain("\\u001b[2J\\u009b2J\\u202e\\udb40\\udc41\u00e9")
  }
  const shown = join(cwd, "paged")
  const paged = { env: { PAGER: `cat > ${shown}` }, isTerminal: true }
  await run(["relay", "moved", "--json", "--pager"], paged)
  expect(readFileSync(shown, "utf8")).toContain("\\u009b2J\\u202e\\udb40\\udc41\u00e9")
  expect((await run(["relay", "moved"])).json[0].infoName).toBe(name)
  expect((await run(["relay", "moved", "-o", "csv"])).stdout).toContain(name)
})
