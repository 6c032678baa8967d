import { Effect } from "effect"
import { commandNames, synchronousModes } from "../Case.js"
import * as Load from "../Load.js"
import type { Scenario } from "../Scenario.js"
import { sample } from "./Callers.js"

/** How costs depend on the size of the journal. */
export const scenario: Scenario = {
  title: "Size of the journal",
  description:
    "Microseconds per command at throughput (64 callers), with journals of the same tenants and relays that differ " +
    "only in their number of events. A sample ends after 10,000 commands; the large file is kept from round to round.",
  figures: { "µs/command": 1 },
  comparisons: [
    { title: "× small", figure: "µs/command", to: (value, { few }) => ({ ...value, events: few }) },
    { title: "× raw", figure: "µs/command", to: ({ callers: _, ...value }) => ({ ...value, subject: "raw" }) }
  ],
  cases: ({ few, many }) =>
    synchronousModes.flatMap((synchronous) =>
      commandNames.flatMap((command) =>
        ["raw", "raw64", "caravel"].flatMap((subject) =>
          [few, many].map((events) => ({
            subject,
            command,
            synchronous,
            events,
            ...(subject === "caravel" ? { callers: 64 } : {})
          }))
        )
      )
    ),
  measure: (value, place) =>
    Effect.map(sample(value, place, { commands: 10_000 }, Load.run), ({ commands, millis }) => ({
      "µs/command": millis / commands * 1000
    }))
}
