import { Effect, Schedule, type Scope } from "effect"
import process from "node:process"
import type { Case } from "../Case.js"
import type * as Live from "../Live.js"
import * as Load from "../Load.js"
import * as Parts from "../Parts.js"
import * as PostgresSchema from "../PostgresSchema.js"
import { type Figures, file, type Place, type Scenario } from "../Scenario.js"
import { percentile } from "../Statistics.js"
import * as Caravel from "../subjects/Caravel.js"
import * as PostgresCaravel from "../subjects/PostgresCaravel.js"

/** A database that two processes open. */
interface Database {
  readonly subject: string
  /** Makes it. Returns its URL, or the name of its file. */
  readonly make: (value: Case, place: Place) => Effect.Effect<string, never, Scope.Scope>
  readonly open: (url: string, place: Place) => Effect.Effect<Live.Live, never, Scope.Scope>
}

/** How soon another process receives activities. */
const scenario = (name: string, { make, open, subject }: Database): Scenario => ({
  title: "Delivery to another process",
  description:
    "Callers in one process write without pause, a live subscriber is in another. Milliseconds from a command's answer to " +
    "its caller, which comes right after the commit, until the subscriber has its activity (0 if it came first), and from " +
    "the command's issue.",
  figures: { p50: 2, p99: 2, max: 2, "p50 from issue": 2, "p99 from issue": 2, commands: 0 },
  comparisons: [],
  rounds: 2,
  warmUp: true,
  cases: () => [1, 64].map((callers): Case => ({ subject, callers, processes: 2 })),
  measure: (value, place) =>
    Effect.gen(function*() {
      const { callers = 1 } = value
      const { part, settings: { deliveryMillis: millis, relays } } = place
      if (part !== undefined) return yield* write(yield* open(part.url, place), { callers, relays, millis })

      const url = yield* make(value, place)
      const { follow } = yield* open(url, place)
      const taken = new Map<number, number>()
      yield* Effect.forkScoped(follow((notices) =>
        Effect.sync(() => {
          const time = now()
          for (const { position } of notices) taken.set(position, time)
        })
      ))
      const written = yield* Parts.measure(name, value, { ...place, part: { url, index: 0, of: 1 } })
      const times = (what: string) =>
        new Map(
          Object.entries(written).filter(([name]) => name.startsWith(what)).map(([name, time]) =>
            [Number(name.slice(what.length)), time] as const
          )
        )
      const issued = times("issued ")
      const answered = times("answered ")

      const complete = Effect.suspend(() => taken.size === answered.size ? Effect.void : Effect.fail("undelivered"))
      yield* Effect.retry(complete, Schedule.spaced("5 millis")).pipe(
        Effect.timeoutFail({ duration: "1 minute", onTimeout: () => "not all was delivered" }),
        Effect.orDie
      )
      const after = (since: ReadonlyMap<number, number>) =>
        [...taken].map(([position, time]) => Math.max(0, time - (since.get(position) ?? Number.NaN)))
      return {
        p50: percentile(after(answered), 0.5),
        p99: percentile(after(answered), 0.99),
        max: percentile(after(answered), 1),
        "p50 from issue": percentile(after(issued), 0.5),
        "p99 from issue": percentile(after(issued), 0.99),
        commands: taken.size
      }
    })
})

/** Milliseconds on the machine's clock, which all processes share. */
const now = () => Number(process.hrtime.bigint()) / 1e6

/** Issues commands, and returns when each was issued and answered, by position. */
const write = ({ execute }: Live.Live, load: Omit<Load.Load, "command">) =>
  Effect.gen(function*() {
    const times: Record<string, number> = {}
    yield* Load.effectful((input) =>
      Effect.suspend(() => {
        const started = now()
        return Effect.map(execute(input), ({ position }) => {
          times[`answered ${position}`] = now()
          times[`issued ${position}`] = started
        })
      })
    )({ command: "deactivateRelay", ...load })
    return times satisfies Figures
  })

/** On a file, at FULL. */
export const sqlite: Scenario = scenario("sqlite-delivery", {
  subject: "caravel",
  make: file,
  open: (filename, { settings: { relays } }) => Caravel.open({ filename, synchronous: "full", relays })
})

/** On a server. */
export const postgres: Scenario = {
  ...scenario("postgres-delivery", {
    subject: "postgres-caravel",
    make: (_, { directory, settings: { relays } }) => PostgresSchema.temporary(directory, relays),
    open: PostgresCaravel.open
  }),
  postgres: true
}
