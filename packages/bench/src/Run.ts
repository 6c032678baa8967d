/** A run: measures all subjects in turn, round after round. */
import { Console, Effect, Option, Scope } from "effect"
import * as fs from "node:fs/promises"
import { join } from "node:path"
import { performance } from "node:perf_hooks"
import { type Case, keyOf, settingOf } from "./Case.js"
import * as PostgresSchema from "./PostgresSchema.js"
import * as Process from "./Process.js"
import { Results } from "./Results.js"
import { contentsOf, type Scenario, template } from "./Scenario.js"
import type { Settings } from "./Settings.js"
import * as SlowDisk from "./SlowDisk.js"
import * as Template from "./Template.js"

/** The scenarios to run, and where to run them. */
export interface Plan {
  readonly scenarios: { readonly [name: string]: Scenario }
  /** The subjects to measure; all, if empty. */
  readonly subjects: ReadonlyArray<string>
  readonly settings: Settings
  /** The parent of the directory for database files, which is removed after the run. */
  readonly directory: string
}

/** Runs the plan, and prints its progress on standard error. */
export const run = (plan: Plan): Effect.Effect<Results, Process.MeasurementFailed> =>
  Effect.gen(function*() {
    const { settings } = plan
    const directory = yield* temporaryDirectory(plan.directory)
    const results = new Results(settings)
    const slowDisk = yield* SlowDisk.compile(directory)
    const skipped = ({ postgres, slowDisk: needsSlowDisk }: Scenario) =>
      postgres === true
        ? PostgresSchema.skipped
        : needsSlowDisk === true && Option.isNone(slowDisk)
        ? SlowDisk.skipped
        : undefined
    const runnable = Object.entries(plan.scenarios).filter(([, scenario]) => skipped(scenario) === undefined)
    for (const [name, scenario] of Object.entries(plan.scenarios)) {
      const reason = skipped(scenario)
      if (reason !== undefined) yield* Console.error(`${name} skipped: ${reason}`)
    }
    const preloaded: Record<string, string> = Option.match(slowDisk, {
      onNone: () => ({}),
      onSome: (library) => ({ LD_PRELOAD: library })
    })
    if (runnable.some(([, { postgres }]) => postgres === true)) {
      yield* Effect.addFinalizer(() => PostgresSchema.dropAll(directory))
    }
    const wanted = runnable.map(([name, scenario]) => {
      const cases = scenario.cases(settings).filter(({ subject }) =>
        plan.subjects.length === 0 || plan.subjects.includes(subject)
      )
      return { name, scenario, cases }
    })
    const onFiles = wanted.filter(({ scenario }) => scenario.postgres !== true)
    const templates = new Map(onFiles.flatMap(({ cases }) =>
      cases.map((value) => {
        const contents = contentsOf(value, settings)
        return [template(directory, contents), contents] as const
      })
    ))
    for (const [path, contents] of templates) {
      const { events, relays } = contents
      yield* Console.error(
        `a database with ${events.toLocaleString("en")} events of ${relays.toLocaleString("en")} relays`
      )
      yield* Template.make(path, contents)
    }
    const shared = settings.oneProcess ? yield* start(directory, preloaded) : undefined
    for (const { cases, name, scenario } of wanted) {
      const variables = scenario.slowDisk === true ? preloaded : {}
      yield* measure({ name, scenario, cases, settings, directory, variables, shared, results })
    }
    return results
  }).pipe(Effect.scoped)

/** A process with its own directory. */
interface Worker {
  readonly measure: Process.Measure
  readonly own: string
}

const start = (
  directory: string,
  variables: { readonly [name: string]: string }
): Effect.Effect<Worker, never, Scope.Scope> =>
  Effect.all({ measure: Process.start(variables), own: temporaryDirectory(directory) })

const measure = ({ cases, directory, name, results, scenario, settings, shared, variables }: {
  readonly name: string
  readonly scenario: Scenario
  readonly cases: ReadonlyArray<Case>
  readonly settings: Settings
  readonly directory: string
  /** Added to the environment of the processes. */
  readonly variables: { readonly [name: string]: string }
  readonly shared: Worker | undefined
  readonly results: Results
}) =>
  Effect.gen(function*() {
    const started = performance.now()
    const say = (text: string) =>
      Console.error(`${((performance.now() - started) / 1000).toFixed(0).padStart(4)} s  ${name}: ${text}`)
    const scope = yield* Effect.scope
    const workers = new Map<string, Worker>()

    const workerFor = (value: Case) =>
      Effect.gen(function*() {
        const key = scenario.isolated === true ? keyOf(value) : value.subject
        const worker = shared ?? workers.get(key) ?? (yield* start(directory, variables))
        workers.set(key, worker)
        return worker
      }).pipe(Scope.extend(scope))

    const sample = (value: Case, settings: Settings) =>
      Effect.gen(function*() {
        const { measure, own } = yield* workerFor(value)
        return yield* measure({ scenario: name, value, settings, directory, own })
      }).pipe(
        Effect.mapError(({ message }) =>
          new Process.MeasurementFailed({ message: `${name}, ${value.subject}, ${settingOf(value)}: ${message}` })
        )
      )

    if (scenario.warmUp === true && settings.warmUpMillis > 0) {
      yield* say("warming up")
      const { warmUpMillis: millis } = settings
      const brief = { ...settings, millis, deliveryMillis: millis, openings: 1 }
      yield* Effect.forEach(cases, (value) => sample(value, brief), { discard: true })
    }
    const rounds = Math.min(settings.rounds, scenario.rounds ?? settings.rounds)
    for (let round = 1; round <= rounds; round++) {
      yield* say(`round ${round} of ${rounds}`)
      for (const value of cases) {
        const { figures, peakMiB } = yield* sample(value, settings)
        results.add(name, value, figures, peakMiB)
      }
    }
    yield* say("done")
  }).pipe(Effect.scoped)

const temporaryDirectory = (parent: string) =>
  Effect.acquireRelease(
    Effect.promise(() => fs.mkdtemp(join(parent, "caravel-bench-"))),
    (directory) => Effect.promise(() => fs.rm(directory, { recursive: true, force: true }))
  )
