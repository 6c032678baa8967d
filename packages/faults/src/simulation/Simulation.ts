/** The simulation as a kind of fault: many seeds, in several processes. */
import { Data, Effect, Schema, Stream } from "effect"
import { type ChildProcess, spawn } from "node:child_process"
import * as fs from "node:fs/promises"
import { availableParallelism } from "node:os"
import { extname, join } from "node:path"
import process from "node:process"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import type { Finding, Kind, Outcome, Settings } from "../Kind.js"
import * as Search from "./Search.js"

/** A process of the simulation has failed itself. */
class SimulationFailed extends Data.TaggedError("SimulationFailed")<{ readonly message: string }> {}

const Line = Schema.parseJson(Schema.Union(
  Schema.Struct({ finding: Schema.Struct({ title: Schema.String, details: Schema.String }) }),
  Schema.Struct({
    counts: Schema.Struct({
      seeds: Schema.Number,
      commands: Schema.Number,
      events: Schema.Number,
      faults: Schema.Number,
      seconds: Schema.Number
    })
  })
))

type Line = typeof Line.Type

/** How many seeds are tried. */
const seedsOf = ({ long }: Settings) => long ? { memory: 20_000, sqlite: 10_000 } : { memory: 800, sqlite: 320 }

/** Programs of several concurrent callers on memory and SQLite, under a scheduler and a clock of their own. */
export const simulation: Kind = {
  title: "simulated programs, under a seeded scheduler, a clock of their own and injected faults",
  description:
    "The writer, the tail, feeds and consumers on memory and SQLite, with every invariant checked after each.",
  run: (settings) =>
    Effect.gen(function*() {
      const processes = Math.min(2, availableParallelism())
      const seeds = seedsOf(settings)
      const first = settings.seed * 1_000_003 % 2 ** 28
      let totals: Outcome = { tried: {}, findings: [] }
      // Most of the code is the same: what one adapter finds, the other would find again.
      for (const adapter of ["sqlite", "memory"] as const) {
        if (totals.findings.length > 0) break
        const parts = yield* Effect.forEach(
          Array.from({ length: processes }, (_, index) => index),
          (index) =>
            search(
              [settings.directory, adapter, first + index, first + seeds[adapter], processes].map(String),
              settings
            ),
          { concurrency: "unbounded" }
        )
        totals = parts.reduce((all, part) => add(all, part, adapter), totals)
        yield* settings.progress(`${adapter}: ${seeds[adapter]} seeds`)
      }
      return totals
    })
}

const add = ({ findings, tried }: Outcome, lines: ReadonlyArray<Line>, adapter: string): Outcome => {
  const sums: Record<string, number> = { ...tried }
  const found: Array<Finding> = [...findings]
  const count = (what: string, more: number) => sums[what] = (sums[what] ?? 0) + Math.round(more)
  for (const line of lines) {
    if ("finding" in line) found.push(line.finding)
    else {
      const { commands, events, faults, seconds, seeds } = line.counts
      count(`seeds on ${adapter}`, seeds)
      count("commands", commands)
      count("events", events)
      count("faults", faults)
      count("simulated seconds", seconds)
    }
  }
  return { tried: sums, findings: found }
}

// The child is next to this file, whether in source or built.
const child = fileURLToPath(new URL(`./child${extname(import.meta.url)}`, import.meta.url))

/** Most of what a simulation allocates is garbage when it ends. */
const memory = ["--max-semi-space-size=64"]

/** Searches in a process of its own, in a directory of its own. */
const search = ([directory, ...parameters]: ReadonlyArray<string>, { progress }: Settings) =>
  Effect.scoped(Effect.gen(function*() {
    const own = yield* Effect.promise(async () => {
      const own = await fs.mkdtemp(join(directory!, "process-"))
      await Search.prepare(own)
      return own
    })
    const started = yield* Effect.acquireRelease(
      Effect.sync(() =>
        spawn(process.execPath, [...process.execArgv, ...memory, child, "search", own, ...parameters], {
          stdio: ["ignore", "pipe", "inherit"]
        })
      ),
      stop
    )
    const lines = Stream.fromAsyncIterable(
      createInterface({ input: started.stdout }),
      (cause) => new SimulationFailed({ message: String(cause) })
    )
    const parsed = yield* Stream.runCollect(
      Stream.mapEffect(
        lines,
        (line) =>
          Effect.tap(
            Schema.decode(Line)(line),
            (line) => "finding" in line ? progress(line.finding.title) : Effect.void
          )
      )
    )
    const all = [...parsed]
    if (!all.some((line) => "counts" in line)) {
      return yield* new SimulationFailed({ message: "a process of the simulation has ended early" })
    }
    return all
  }))

const stop = (started: ChildProcess): Effect.Effect<void> =>
  Effect.async<void>((resume) => {
    if (started.exitCode !== null || started.signalCode !== null) return resume(Effect.void)
    started.once("exit", () => resume(Effect.void))
    started.kill("SIGKILL")
  })
