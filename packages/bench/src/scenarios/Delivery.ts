import { Effect, Schedule } from "effect"
import { performance } from "node:perf_hooks"
import { type Case, synchronousModes } from "../Case.js"
import * as Load from "../Load.js"
import { file, type Scenario } from "../Scenario.js"
import { percentile } from "../Statistics.js"
import * as Caravel from "../subjects/Caravel.js"
import * as NaiveEffect from "../subjects/NaiveEffect.js"

const subscribers: { readonly [subject: string]: typeof NaiveEffect.open } = {
  caravel: (options) => Caravel.open(options),
  "caravel-feed": (options) => Caravel.open(options, "feed"),
  naive: NaiveEffect.open
}

/** How soon a live subscriber receives activities while callers write without pause. */
export const scenario: Scenario = {
  title: "Delivery",
  description:
    "64 callers write without pause, one live subscriber yields after each message. Milliseconds from a command's answer " +
    "to its caller until the subscriber has its activity (0 if it came first), and from the command's issue, which " +
    "includes the wait and the commit; and how many were undelivered when the callers stopped.",
  figures: { p50: 2, p99: 2, max: 2, "p99 from issue": 2, undelivered: 0, commands: 0 },
  comparisons: [],
  rounds: 2,
  warmUp: true,
  cases: () =>
    synchronousModes.flatMap((synchronous) =>
      Object.keys(subscribers).map((subject): Case => ({ subject, synchronous, callers: 64 }))
    ),
  measure: (value, place) =>
    Effect.gen(function*() {
      const { callers = 64, subject, synchronous = "full" } = value
      const { deliveryMillis, relays } = place.settings
      const open = subscribers[subject]
      if (open === undefined) return yield* Effect.dieMessage(`no subscriber is called ${subject}`)
      const { execute, follow } = yield* open({ filename: yield* file(value, place), synchronous, relays })

      // All three are indexed by the activity's position.
      const issued: Array<number> = []
      const answered: Array<number> = []
      const taken = new Map<number, number>()

      yield* Effect.forkScoped(follow((notices) =>
        Effect.forEach(notices, ({ position }) => {
          taken.set(position, performance.now())
          return Effect.yieldNow()
        }, { discard: true })
      ))
      // A stream subscribes only when it runs.
      yield* Effect.sleep("10 millis")

      const { commands } = yield* Load.effectful((input) =>
        Effect.suspend(() => {
          const started = performance.now()
          return Effect.map(execute(input), ({ position }) => {
            issued[position] = started
            answered[position] = performance.now()
          })
        })
      )({ command: "deactivateRelay", callers, relays, millis: deliveryMillis })
      const undelivered = commands - taken.size

      const complete = Effect.suspend(() => taken.size === commands ? Effect.void : Effect.fail("undelivered"))
      yield* Effect.retry(complete, Schedule.spaced("5 millis")).pipe(
        Effect.timeoutFail({ duration: "1 minute", onTimeout: () => "not all was delivered" }),
        Effect.orDie
      )
      const after = (since: ReadonlyArray<number>) =>
        [...taken].map(([position, time]) => Math.max(0, time - (since[position] ?? Number.NaN)))
      const fromAnswer = after(answered)
      return {
        p50: percentile(fromAnswer, 0.5),
        p99: percentile(fromAnswer, 0.99),
        max: percentile(fromAnswer, 1),
        "p99 from issue": percentile(after(issued), 0.99),
        undelivered,
        commands
      }
    })
}
