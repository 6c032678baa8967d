/** The command line of the search for faults. */
import { CommandLine, Machine } from "@caravel/bench"
import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import { Console, Data, DateTime, Effect, Option, Random, Record as Rec, Schema } from "effect"
import * as os from "node:os"
import process from "node:process"
import { kinds } from "./kinds.js"
import * as Markdown from "./Markdown.js"
import * as Report from "./Report.js"
import * as Run from "./Run.js"

/** Faults were found; the report tells them. */
export class FaultsFound extends Data.TaggedError("FaultsFound") {}

/** The seed of the short run, which is part of `.ci/run` and must not fail by chance. */
const shortSeed = 13

const options = {
  only: CommandLine.list("only", "kinds", Object.keys(kinds)),
  long: Options.boolean("long").pipe(
    Options.withDescription("Looks for hours, from a seed that is new each time and printed.")
  ),
  seed: Options.integer("seed").pipe(
    Options.withDescription(`Where to begin; ${shortSeed} by default, and a new one with --long.`),
    Options.optional
  ),
  directory: Options.directory("directory", { exists: "yes" }).pipe(
    Options.withDescription("The directory for the files of the run."),
    Options.withDefault(os.tmpdir())
  ),
  json: CommandLine.file("json", "everything that was tried and found"),
  markdown: CommandLine.file("markdown", "the report of standard output")
}

const faults = Command.make(
  "faults",
  options,
  ({ directory, json, long, markdown, only, seed: given }) =>
    Effect.gen(function*() {
      const fresh = long ? Random.nextIntBetween(0, 2 ** 31) : Effect.succeed(shortSeed)
      const seed = yield* Option.match(given, { onNone: () => fresh, onSome: Effect.succeed })
      const date = yield* DateTime.now
      const machine = yield* Machine.detect(directory)
      yield* Console.error(`seed ${seed}, files on ${machine.disk}`)
      const parts = yield* Run.run({
        kinds: Rec.filter(kinds, (_, name) => only.includes(name)),
        long,
        seed,
        directory,
        progress: (line) => Console.error(line)
      })
      const report: Report.Report = {
        date,
        command: ["pnpm faults", ...process.argv.slice(2)].join(" "),
        seed,
        machine,
        parts
      }
      const text = Markdown.render(report)
      yield* Console.log(text)
      yield* CommandLine.write(markdown, text)
      yield* CommandLine.write(json, `${yield* Schema.encode(Report.Json)(report)}\n`)
      if (parts.some(({ findings }) => findings.length > 0)) return yield* new FaultsFound()
    })
).pipe(Command.withDescription("Looks for faults in Caravel, and exits 1 if it finds one."))

/** Runs the search by its command line. */
export const main = Command.run(faults, { name: "Caravel's search for faults", version: "0.1.0" })
