/** What a process does and uses, about once a second, and whether it stays flat. */
import { Array as Arr, Effect, Metric, MetricState } from "effect"
import * as fs from "node:fs"
import process from "node:process"
import type { Storage } from "./Storage.js"

/** What a process did in about a second, and uses after it. */
export interface Sample {
  /** Commands per second. */
  readonly commands: number
  readonly rssMiB: number
  readonly logMiB: number
  readonly descriptors: number
  readonly fibers: number
  readonly connections: number
  /** The tables of PostgreSQL that have as many rows late as early. */
  readonly tablesMiB: number
}

const fibers = () => {
  const active = Metric.unsafeSnapshot().find(({ metricKey }) => metricKey.name === "effect_fiber_active")
  return active !== undefined && MetricState.isCounterState(active.metricState) ? Number(active.metricState.count) : 0
}

const sizeOf = (filename: string) => {
  try {
    return fs.statSync(filename).size
  } catch {
    return 0
  }
}

/** Takes a sample. Descriptors are counted on Linux. */
export const take = (
  commands: number,
  { connections, log, size }: Pick<Storage, "connections" | "log" | "size">
): Effect.Effect<Sample> =>
  Effect.map(Effect.all([connections, size]), ([connections, tablesMiB]) => ({
    commands,
    connections,
    tablesMiB,
    rssMiB: process.memoryUsage.rss() / 2 ** 20,
    logMiB: sizeOf(log) / 2 ** 20,
    descriptors: fs.existsSync("/proc/self/fd") ? fs.readdirSync("/proc/self/fd").length : 0,
    fibers: fibers()
  }))

const median = (values: ReadonlyArray<number>) => {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? 0
}

/** The median of a figure over a part of the samples, from one share of the time to another. */
const over = (samples: ReadonlyArray<Sample>, figure: keyof Sample, from: number, to: number) =>
  median(
    samples.slice(Math.floor(samples.length * from), Math.ceil(samples.length * to)).map((sample) => sample[figure])
  )

/** By how much each figure may grow from the second quarter to the last one: a factor, and an amount. */
const growth: { readonly [Figure in keyof Sample]?: readonly [factor: number, amount: number] } = {
  rssMiB: [1.2, 50],
  logMiB: [1, 64],
  descriptors: [1, 10],
  fibers: [1.2, 20],
  connections: [1, 2],
  // The server keeps rows for the long reader; a row of 100 bytes for each command would be more.
  tablesMiB: [1, 24]
}

/** A rate below this share of the earlier one is a finding. */
const leastRate = 0.7

/** Each figure early and late. */
export const compared = (samples: ReadonlyArray<Sample>) =>
  (["commands", "rssMiB", "logMiB", "descriptors", "fibers", "connections", "tablesMiB"] as const).map((figure) => {
    const [early, late] = [over(samples, figure, 0.25, 0.5), over(samples, figure, 0.75, 1)]
    const [factor, amount] = growth[figure] ?? [1, Infinity]
    const isFlat = figure === "commands" ? late >= early * leastRate : late <= early * factor + amount
    return { figure, early: Math.round(early), late: Math.round(late), isFlat }
  })

/** The highest value of a figure. */
export const highest = (samples: ReadonlyArray<Sample>, figure: keyof Sample): number =>
  Arr.reduce(samples, 0, (most, sample) => Math.max(most, sample[figure]))
