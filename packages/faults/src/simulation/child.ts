/**
 * A process that simulates, so that the clocks and timers of the process that reports are left alone.
 *
 * `search DIRECTORY ADAPTER FIRST END STEP` tries seeds, and prints a JSON line for each finding and one at the end.
 * `replay` runs the program on standard input, and exits 1 if it fails.
 */
import * as fs from "node:fs"
import * as os from "node:os"
import { join } from "node:path"
import process from "node:process"
import { parse } from "./Script.js"
import * as Search from "./Search.js"
import { simulate } from "./Simulate.js"

const [task, ...parameters] = process.argv.slice(2)

// The standard output is for results: fibers that run outside of a simulation log to the console.
// eslint-disable-next-line no-console
console.log = console.error

const search = async ([directory, adapter, ...numbers]: ReadonlyArray<string>): Promise<number> => {
  const [first, end, step] = numbers.map(Number)
  // Stacks take a tenth of the time; the script of a finding shows them.
  Error.stackTraceLimit = 0
  const print = (line: object) => process.stdout.write(`${JSON.stringify(line)}\n`)
  const seeds = { adapter: adapter === "memory" ? "memory" : "sqlite", first: first!, end: end!, step: step! } as const
  const counts = await Search.search(seeds, directory!, (finding) => print({ finding }))
  print({ counts })
  return 0
}

const replay = async (): Promise<number> => {
  const directory = fs.mkdtempSync(join(os.tmpdir(), "caravel-simulation-"))
  try {
    const program = parse(fs.readFileSync(0, "utf8"))
    if (program.adapter === "sqlite") await Search.prepare(directory)
    const { problems } = await simulate(program, { directory })
    process.stdout.write(`${problems.length === 0 ? "nothing is wrong" : problems.join("\n")}\n`)
    return problems.length === 0 ? 0 : 1
  } finally {
    fs.rmSync(directory, { recursive: true, force: true })
  }
}

const code = await (task === "replay" ? replay() : search(parameters))
// A program that hangs leaves timers and workers behind.
process.stdout.write("", () => process.exit(code))
