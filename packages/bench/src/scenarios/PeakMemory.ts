import { Sqlite } from "@caravel/sql"
import { Effect } from "effect"
import process from "node:process"
import { type Case, synchronousModes } from "../Case.js"
import * as Load from "../Load.js"
import { file, type Scenario } from "../Scenario.js"
import { whole } from "../Settings.js"
import { subjectNamed } from "../subjects/index.js"
import { catchUp } from "./CatchUp.js"

/** The time limit, in milliseconds, after which callers stop. */
const atMost = 300_000

const count = (value: number) => value.toLocaleString("en")

/** Whether memory grows with the number of commands. */
export const scenario: Scenario = {
  title: "Peak memory",
  description:
    `The peak memory of a separate process (RSS, MiB): early, after ${
      count(whole.peakEarly)
    } commands of 64 callers or ` +
    `${count(whole.some)} activities of a catch-up, and late, after ${
      count(whole.peakLate)
    } commands or as many as there ` +
    `were in ${2 * atMost / 1000} seconds, or ${count(whole.many)} activities.`,
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
      const { many, peakEarly, peakLate, relays, some } = place.settings
      const { callers = 64, command, synchronous = "full" } = value
      const filename = yield* file(value, place)
      if (command === undefined) {
        let early = 0
        const done = yield* Effect.provide(
          catchUp(many, (read) => {
            if (early === 0 && read >= some) early = peak()
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
