/** A run: measures all subjects in turn, round after round. */
import { Console, Effect, Scope } from "effect"
import * as fs from "node:fs/promises"
import { join } from "node:path"
import { performance } from "node:perf_hooks"
import { type Case, keyOf, settingOf } from "./Case.js"
import * as PostgresSchema from "./PostgresSchema.js"
import * as Process from "./Process.js"
import { Results } from "./Results.js"
import { eventsOf, type Scenario, template } from "./Scenario.js"
import type { Settings } from "./Settings.js"
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
    const runnable = Object.entries(plan.scenarios).filter(([, { postgres }]) =>
      postgres !== true || PostgresSchema.skipped === undefined
    )
    for (const name of Object.keys(plan.scenarios)) {
      if (runnable.every(([other]) => other !== name)) {
        yield* Console.error(`${name} skipped: ${PostgresSchema.skipped}`)
      }
    }
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
    for (const events of new Set(onFiles.flatMap(({ cases }) => cases.map((value) => eventsOf(value, settings))))) {
      yield* Console.error(`a database with ${events.toLocaleString("en")} events`)
      yield* Template.make(template(directory, events), { events, relays: settings.relays })
    }
    const shared = settings.oneProcess ? yield* start(directory) : undefined
    for (const { cases, name, scenario } of wanted) {
      yield* measure({ name, scenario, cases, settings, directory, shared, results })
    }
    return results
  }).pipe(Effect.scoped)

/** A process with its own directory. */
interface Worker {
  readonly measure: Process.Measure
  readonly own: string
}

const start = (directory: string): Effect.Effect<Worker, never, Scope.Scope> =>
  Effect.all({ measure: Process.start, own: temporaryDirectory(directory) })

const measure = ({ cases, directory, name, results, scenario, settings, shared }: {
  readonly name: string
  readonly scenario: Scenario
  readonly cases: ReadonlyArray<Case>
  readonly settings: Settings
  readonly directory: string
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
        const worker = shared ?? workers.get(key) ?? (yield* start(directory))
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
