import { Effect } from "effect"
import process from "node:process"
import type { Case } from "../Case.js"
import * as Load from "../Load.js"
import type { Scenario } from "../Scenario.js"
import { sample } from "./Callers.js"

const subjects: ReadonlyArray<Partial<Case> & Pick<Case, "subject">> = [
  { subject: "raw64" },
  { subject: "caravel", callers: 64 }
]

/** How costs grow with the journal and with the number of relays. */
export const scenario: Scenario = {
  title: "Growth",
  description:
    "Microseconds per command of 64 callers at FULL, and the memory of the process after it (RSS, MiB): of existing relays " +
    "with journals of several lengths, and of new ones with several numbers of relays. A sample ends after 10,000 commands; " +
    "the files are kept from round to round.",
  figures: { "µs/command": 1, "RSS MiB": 0 },
  comparisons: [
    { title: "× raw64", figure: "µs/command", to: ({ callers: _, ...value }) => ({ ...value, subject: "raw64" }) }
  ],
  rounds: 3,
  isolated: true,
  onRequest: true,
  cases: ({ journals, relayCounts }) =>
    subjects.flatMap((subject): ReadonlyArray<Case> => [
      ...journals.map((events) => ({ ...subject, command: "deactivateRelay" as const, events })),
      ...relayCounts.map((relays) => ({ ...subject, command: "createRelay" as const, events: 2 * relays, relays }))
    ]),
  measure: (value, place) =>
    Effect.map(sample(value, place, { commands: 10_000 }, Load.run), ({ commands, millis }) => ({
      "µs/command": millis / commands * 1000,
      "RSS MiB": process.memoryUsage.rss() / 2 ** 20
    }))
}
