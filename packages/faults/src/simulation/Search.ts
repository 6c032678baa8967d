/** Tries the programs of many seeds, and makes scripts of those that fail. */
import type { Finding } from "../Kind.js"
import { generate, type Program } from "./Program.js"
import { scriptOf } from "./Script.js"
import { kindOf, shrink } from "./Shrink.js"
import { simulate } from "./Simulate.js"
import * as World from "./World.js"

/** The seeds to try: every `step`-th from `first` up to `end`. */
export interface Seeds {
  readonly adapter: Program["adapter"]
  readonly first: number
  readonly end: number
  readonly step: number
}

/** What was tried. */
export interface Counts {
  readonly seeds: number
  readonly commands: number
  readonly events: number
  readonly faults: number
  readonly seconds: number
}

/** The search ends after this many findings: more would be the same fault again. */
const enough = 2

/** How many tasks are run, in all programs that are tried, to make a failing one smaller. */
const effort = 500_000

/** Prepares a directory for simulations on SQLite. */
export const prepare = (directory: string): Promise<void> => World.createTemplates(directory)

/** Tries seeds one after another. */
export const search = async (
  { adapter, end, first, step }: Seeds,
  directory: string,
  onFinding: (finding: Finding) => void
): Promise<Counts> => {
  const counts = { seeds: 0, commands: 0, events: 0, faults: 0, seconds: 0 }
  const kinds = new Set<string>()
  for (let seed = first; seed < end && kinds.size < enough; seed += step) {
    const program = generate(seed, adapter)
    const { commands, events, faults, problems, seconds } = await simulate(program, { directory })
    counts.seeds++
    counts.commands += commands
    counts.events += events
    counts.faults += faults
    counts.seconds += seconds
    if (problems.length === 0 || kinds.has(kindOf(problems[0]!))) continue
    kinds.add(kindOf(problems[0]!))
    onFinding(await findingOf(seed, program, problems, directory))
  }
  return counts
}

const findingOf = async (
  seed: number,
  program: Program,
  problems: ReadonlyArray<string>,
  directory: string
): Promise<Finding> => {
  const kind = kindOf(problems[0]!)
  let left = effort
  const smallest = await shrink(program, async (smaller) => {
    if (left <= 0) return false
    const { problems, turns } = await simulate(smaller, { directory })
    left -= turns
    return problems.some((problem) => kindOf(problem) === kind)
  })
  const seen = (await simulate(smallest, { directory })).problems
  return {
    title: problems[0]!.split("\n")[0]!.slice(0, 200),
    details: [`seed ${seed} on ${program.adapter}:`, ...problems, "", "smaller:", ...seen, "", scriptOf(smallest)].join(
      "\n"
    )
  }
}
