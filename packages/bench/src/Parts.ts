/** Samples that several processes take together. */
import { Effect, Scope } from "effect"
import type { Case } from "./Case.js"
import type { Part } from "./Message.js"
import * as Process from "./Process.js"
import type { Figures, Place } from "./Scenario.js"

/** The processes stay warm, and end with this process. */
const scope = Effect.runSync(Scope.make())
const processes: Array<Process.Measure> = []

const processOf = (index: number) =>
  Effect.suspend(() => {
    const process = processes[index]
    return process === undefined
      ? Effect.tap(Scope.extend(Process.start(), scope), (process) => Effect.sync(() => processes[index] = process))
      : Effect.succeed(process)
  })

/** Takes a part of a sample in the process with the part's index. */
export const measure = (
  scenario: string,
  value: Case,
  place: Place & { readonly part: Part }
): Effect.Effect<Figures> =>
  Effect.flatMap(processOf(place.part.index), (measure) => measure({ scenario, value, ...place })).pipe(
    Effect.map(({ figures }) => figures),
    Effect.orDie
  )
