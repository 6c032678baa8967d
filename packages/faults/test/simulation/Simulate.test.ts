import { StorageError } from "@caravel/domain"
import type { SqlClient } from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import { afterAll, beforeAll, describe, expect, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { spawnSync } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import { join } from "node:path"
import { bundle } from "../../../../scripts/bundle.mjs"
import { generate, type Program } from "../../src/simulation/Program.js"
import { parse, scriptOf } from "../../src/simulation/Script.js"
import { kindOf, shrink } from "../../src/simulation/Shrink.js"
import { type Options, simulate } from "../../src/simulation/Simulate.js"
import { createTemplates } from "../../src/simulation/World.js"

let directory: string

beforeAll(async () => {
  directory = fs.mkdtempSync(join(os.tmpdir(), "caravel-simulate-"))
  await createTemplates(directory)
})

afterAll(() => fs.rmSync(directory, { recursive: true, force: true }))

const run = (program: Program, options: Options = {}) => simulate(program, { directory, ...options })

for (const adapter of ["memory", "sqlite"] as const) {
  it(`on ${adapter}, the same seed does the same, and finds nothing`, async () => {
    const traces = new Set<string>()
    for (let seed = 1; seed <= 8; seed++) {
      const { problems, trace } = await run(generate(seed, adapter))
      expect(problems).toEqual([])
      expect((await run(generate(seed, adapter))).trace).toBe(trace)
      traces.add(trace)
    }
    expect(traces.size).toBeGreaterThan(6)
  })
}

/** The first problem with broken services, and the smallest program that has it too. */
const found = async (adapter: Program["adapter"], wrap: Options["wrap"]) => {
  for (let seed = 1; seed < 60; seed++) {
    const program = generate(seed, adapter)
    const [problem] = (await run(program, { wrap })).problems
    if (problem === undefined) continue
    const smallest = await shrink(
      program,
      async (smaller) => (await run(smaller, { wrap })).problems.some((other) => kindOf(other) === kindOf(problem))
    )
    return { problem, smallest, steps: smallest.callers.flat().length }
  }
  throw new Error("nothing was found")
}

describe("a planted fault is found, and its program made small", () => {
  it("a feed that skips an activity", async () => {
    const { problem, smallest, steps } = await found("memory", (services) => ({
      ...services,
      feed: { ...services.feed, since: (position, options) => Stream.drop(services.feed.since(position, options), 1) }
    }))
    expect(problem).toMatch(/^feed since \d+ .* received .* instead of/)
    expect(steps).toBeLessThanOrEqual(3)
    expect(parse(scriptOf(smallest).split("\n").slice(1, -1).join("\n"))).toEqual(smallest)
  })

  it("a command that fails after it was committed", async () => {
    const failure = new StorageError({ reason: "other", operation: "commit", cause: new Error("planted") })
    const { problem, steps } = await found("sqlite", (services) => ({
      ...services,
      command: {
        ...services.command,
        submit: (commands) => Effect.zipRight(services.command.submit(commands), Effect.fail(failure)) as never
      }
    }))
    expect(problem).toMatch(/is in the journal|although nothing was wrong|after the last fault was failed/)
    expect(steps).toBeLessThanOrEqual(2)
  })

  it("a transaction that dies", async () => {
    const { problem } = await found("sqlite", (services) => ({
      ...services,
      sql: services.sql && Object.assign(Object.create(services.sql) as SqlClient, services.sql, {
        withTransaction: (work: Effect.Effect<unknown, SqlError>) => Effect.orDie(services.sql!.withTransaction(work))
      })
    }))
    expect(problem).toMatch(/^transaction t\d+ failed: /)
  })

  const endingAfterOne = (end: Stream.Stream<never>): Options["wrap"] => (services) => ({
    ...services,
    feed: {
      ...services.feed,
      since: (position, options) => Stream.concat(Stream.take(services.feed.since(position, options), 1), end)
    }
  })

  const answering =
    (answer: (activities: ReadonlyArray<unknown>) => ReadonlyArray<unknown>): Options["wrap"] => (services) => ({
      ...services,
      command: {
        ...services.command,
        submit: (commands) => Effect.map(services.command.submit(commands), answer) as never
      }
    })

  const planted: ReadonlyArray<readonly [fault: string, problem: RegExp, wrap: Options["wrap"]]> = [
    ["a feed that ends", /^feed since \d+ .* ended by itself$/, endingAfterOne(Stream.empty)],
    [
      "a feed that is interrupted",
      /^feed since \d+ .* ended by itself: /,
      endingAfterOne(Stream.fromEffect(Effect.interrupt))
    ],
    ["a submission without answers", /was answered \[\] instead of/, answering(() => [])],
    [
      "a submission without activities",
      /was answered \[null\] instead of/,
      answering((activities) => activities.map(() => undefined))
    ],
    ["rows that are not read", /^query\.relay is .* instead of/, (services) => ({
      ...services,
      query: { ...services.query, relay: () => Effect.succeedNone }
    })],
    ["a verification that checks nothing", /^verify ended after 0 events/, (services) => ({
      ...services,
      journal: { ...services.journal, verify: Stream.empty }
    })],
    ["a past without relays", /^\w+ at position \d+ is .* instead of/, (services) => ({
      ...services,
      past: { ...services.past, relay: () => Effect.succeedNone }
    })],
    ["usage that is not metered", /^the usage of .* is \[\] instead of/, (services) => ({
      ...services,
      past: { ...services.past, usage: () => Effect.succeed([]) }
    })]
  ]
  it.each(planted)("%s", async (_, expected, wrap) => {
    expect((await found("memory", wrap)).problem).toMatch(expected)
  })
})

it("a script fails by itself while the fault is there, and only then", () => {
  const child = bundle(new URL("../../src/simulation/child.ts", import.meta.url))
  const planted = bundle(new URL("./fixtures/planted.ts", import.meta.url))
  const replayed = (...options: ReadonlyArray<string>) =>
    spawnSync(process.execPath, [...options, child, "replay"], {
      input: scriptOf({ ...generate(1, "sqlite"), callers: [], faults: [], consumers: [], nodes: 1 }).split("\n").slice(
        1,
        -1
      )
        .join("\n"),
      encoding: "utf8"
    })
  expect(replayed()).toMatchObject({ status: 0, stdout: "nothing is wrong\n" })
  const { status, stdout } = replayed("--import", planted)
  expect(stdout).toContain("was acknowledged before it was committed")
  expect(status).toBe(1)
})
