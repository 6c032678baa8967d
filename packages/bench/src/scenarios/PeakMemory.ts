import { Sqlite } from "@caravel/sql"
import { Effect } from "effect"
import process from "node:process"
import { type Case, synchronousModes } from "../Case.js"
import * as Load from "../Load.js"
import { file, type Scenario } from "../Scenario.js"
import { subjectNamed } from "../subjects/index.js"
import { catchUp } from "./CatchUp.js"

/** The time limit, in milliseconds, after which callers stop. */
const atMost = 90_000

/** Whether memory grows with the number of commands. */
export const scenario: Scenario = {
  title: "Peak memory",
  description:
    "The peak memory of a separate process (RSS, MiB): early, after 10,000 commands of 64 callers or 10,000 " +
    `activities of a catch-up, and late, after 1,000,000 or after as many as there were in ${atMost / 1000} seconds.`,
  figures: { done: 0, early: 0, late: 0, growth: 0 },
  comparisons: [],
  rounds: 1,
  isolated: true,
  cases: ({ many }) => [
    ...synchronousModes.map((synchronous): Case => ({
      subject: "caravel",
      command: "deactivateRelay",
      synchronous,
      callers: 64
    })),
    { subject: "caravel-feed", events: many }
  ],
  measure: (value, place) =>
    Effect.gen(function*() {
      const { peakEarly, peakLate, relays } = place.settings
      const { callers = 64, command, synchronous = "full" } = value
      const filename = yield* file(value, place)
      if (command === undefined) {
        let early = 0
        const done = yield* Effect.provide(
          catchUp(peakLate, (read) => {
            if (early === 0 && read >= peakEarly) early = peak()
          }),
          Sqlite.layer({ filename })
        )
        return figures(done, early)
      }
      const session = yield* subjectNamed(value.subject).open({ filename, synchronous, relays })
      const load = { command, callers, relays, millis: atMost }
      const first = yield* Load.run(session, { ...load, commands: peakEarly })
      const early = peak()
      const rest = yield* Load.run(session, { ...load, commands: peakLate - peakEarly })
      return figures(first.commands + rest.commands, early)
    }).pipe(Effect.orDie)
}

const peak = () => process.resourceUsage().maxRSS / 1024

const figures = (done: number, early: number) => {
  const late = peak()
  return { done, early, late, growth: late - early }
}
