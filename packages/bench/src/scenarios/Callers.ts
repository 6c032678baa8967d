import { Effect } from "effect"
import { type Case, synchronousModes } from "../Case.js"
import * as Load from "../Load.js"
import { contentsOf, file, type Place, type Scenario } from "../Scenario.js"
import { subjectNamed, subjects } from "../subjects/index.js"

/** Throughput under load. */
export const scenario: Scenario = {
  title: "Callers at once",
  description:
    "Commands per second of callers that each issue their next command when the previous one was answered. Subjects " +
    "that execute one command at a time, whatever the number of callers, are measured with 64; blocking ones, without. " +
    "The CPU time of the process per command, and the milliseconds between two runs of a timer that is due each millisecond.",
  figures: { "commands/s": 0, "CPU µs": 0, "delay p99": 1 },
  comparisons: [
    { title: "× raw", figure: "commands/s", to: ({ callers: _, ...value }) => ({ ...value, subject: "raw" }) },
    { title: "× raw64", figure: "commands/s", to: ({ callers: _, ...value }) => ({ ...value, subject: "raw64" }) },
    { title: "× naive", figure: "commands/s", to: (value) => ({ ...value, callers: 64, subject: "naive" }) },
    { title: "delay × naive", figure: "delay p99", to: (value) => ({ ...value, callers: 64, subject: "naive" }) }
  ],
  cases: ({ commands, waiting }) =>
    synchronousModes.flatMap((synchronous) =>
      commands.flatMap((command) =>
        Object.entries(subjects).flatMap(([subject, { blocking, volatile }]): ReadonlyArray<Case> => {
          if (volatile === true) {
            return synchronous === "full" ? [64, waiting].map((callers) => ({ subject, command, callers })) : []
          }
          if (blocking === true) return [{ subject, command, synchronous }]
          const callers = subject === "caravel" ? [1, 8, 64, 256, waiting] : [64]
          return callers.map((callers) => ({ subject, command, synchronous, callers }))
        })
      )
    ),
  measure: (value, place) =>
    Effect.map(sample(value, place, {}, Load.delayed), ({ commands, cpuMillis, delay, millis }) => ({
      "commands/s": commands / millis * 1000,
      "CPU µs": cpuMillis / commands * 1000,
      "delay p99": delay
    }))
}

/**
 * Takes a sample of a load on the case's subject, after a shorter load that is not counted: a subject that was just
 * opened is not compiled yet, and its log has not been written back.
 */
export const sample = <A>(
  value: Case,
  place: Place,
  load: Partial<Load.Load>,
  run: (session: Load.Session, load: Load.Load) => Effect.Effect<A>
) =>
  Effect.gen(function*() {
    const { command = "deactivateRelay", callers = 1, synchronous = "full" } = value
    const { millis, warmUpMillis } = place.settings
    const { relays } = contentsOf(value, place.settings)
    const filename = yield* file(value, place)
    const session = yield* subjectNamed(value.subject).open({ filename, synchronous, relays })
    const first = { command, callers: Math.min(callers, 64), relays, millis: warmUpMillis }
    yield* Load.run(session, { ...first, ...(load.commands === undefined ? {} : { commands: load.commands / 4 }) })
    return yield* run(session, { command, callers, relays, millis, ...load })
  })
