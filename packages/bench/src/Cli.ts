/** The benchmark's command line. */
import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import { Console, DateTime, Effect, Option, Record as Rec, Schema } from "effect"
import * as os from "node:os"
import process from "node:process"
import { file, list, write } from "./CommandLine.js"
import * as Machine from "./Machine.js"
import * as Markdown from "./Markdown.js"
import * as Plot from "./Plot.js"
import * as Report from "./Report.js"
import * as Run from "./Run.js"
import { scenarios } from "./scenarios/index.js"
import * as Settings from "./Settings.js"
import * as Targets from "./Targets.js"

const everySubject = [
  ...new Set(Object.values(scenarios).flatMap(({ cases }) => cases(Settings.whole).map(({ subject }) => subject)))
]

const inWhole = Rec.keys(Rec.filter(scenarios, ({ onRequest }) => onRequest !== true))

const options = {
  only: list("only", "scenarios", Object.keys(scenarios), inWhole),
  subjects: list("subjects", "subjects", everySubject),
  rounds: Options.integer("rounds").pipe(
    Options.withDescription("How many times each sample is taken; 5 by default, except with --quick."),
    Options.optional
  ),
  quick: Options.boolean("quick").pipe(
    Options.withDescription("Only shows that everything runs, within seconds; its figures mean nothing.")
  ),
  directory: Options.directory("directory", { exists: "yes" }).pipe(
    Options.withDescription("The directory for the database files; in memory, syncing would cost nothing."),
    Options.withDefault(os.tmpdir())
  ),
  json: file("json", "everything that was measured"),
  markdown: file("markdown", "the tables of standard output"),
  plot: file("plot", "the growth, if it was measured, as a picture (SVG)")
}

const bench = Command.make(
  "bench",
  options,
  ({ directory, json, markdown, only, plot, quick, rounds, subjects }) =>
    Effect.gen(function*() {
      const defaults = quick ? Settings.quick : Settings.whole
      const settings = { ...defaults, rounds: Option.getOrElse(rounds, () => defaults.rounds) }
      const date = yield* DateTime.now
      const machine = yield* Machine.detect(directory)
      yield* Console.error(`files on ${machine.disk}`)
      const results = yield* Run.run({
        scenarios: Rec.filter(scenarios, (_, name) => only.includes(name)),
        subjects,
        settings,
        directory
      })
      const report: Report.Report = {
        date,
        command: ["pnpm bench", ...process.argv.slice(2)].join(" "),
        machine,
        settings,
        targets: Targets.judge(results, settings),
        series: results.all
      }
      const text = Markdown.render(report, scenarios)
      yield* Console.log(text)
      yield* write(markdown, text)
      yield* write(json, `${yield* Schema.encode(Report.Json)(report)}\n`)
      if (Option.isSome(plot)) yield* write(plot, yield* Plot.render(report))
    })
).pipe(Command.withDescription("Measures what Caravel's commands cost, compared with other ways to do the same."))

/** Runs the benchmark by its command line. */
export const main = Command.run(bench, { name: "Caravel's benchmark", version: "0.1.0" })
