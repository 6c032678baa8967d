import { Effect } from "effect"
import { commandNames, synchronousModes } from "../Case.js"
import * as Load from "../Load.js"
import { type Scenario } from "../Scenario.js"
import { percentile } from "../Statistics.js"
import { subjects } from "../subjects/index.js"
import { sample } from "./Callers.js"

/** The cost of a command without concurrent callers. */
export const scenario: Scenario = {
  title: "Alone",
  description: "One caller, one command after another. Milliseconds per command.",
  figures: { "commands/s": 0, p50: 3, p99: 3 },
  comparisons: [
    { title: "p50 × raw", figure: "p50", to: (value) => ({ ...value, subject: "raw" }) },
    { title: "p50 × naive", figure: "p50", to: (value) => ({ ...value, subject: "naive" }) }
  ],
  cases: () =>
    synchronousModes.flatMap((synchronous) =>
      commandNames.flatMap((command) =>
        Object.entries(subjects).flatMap(([subject, { volatile }]) =>
          subject === "raw64" || (volatile === true && synchronous === "normal")
            ? []
            : [volatile === true ? { subject, command } : { subject, command, synchronous }]
        )
      )
    ),
  measure: (value, place) =>
    Effect.map(sample(value, place, { callers: 1, latencies: true }, Load.run), ({ commands, latencies, millis }) => ({
      "commands/s": commands / millis * 1000,
      p50: percentile(latencies, 0.5),
      p99: percentile(latencies, 0.99)
    }))
}
