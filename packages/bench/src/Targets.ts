/** The targets for the figures. */
import { Schema } from "effect"
import { type Case, type CommandName, commandNames, type Synchronous, synchronousModes } from "./Case.js"
import type { Results } from "./Results.js"
import type { Settings } from "./Settings.js"

/** A target, and whether it was met by each figure that was measured for it. */
export const Target = Schema.Struct({
  figure: Schema.String,
  against: Schema.String,
  target: Schema.String,
  /** The cases that it was measured on. */
  measured: Schema.Array(Schema.Struct({ on: Schema.String, value: Schema.String, met: Schema.Boolean }))
})

export interface Target extends Schema.Schema.Type<typeof Target> {}

/** A case and its value, if it was measured. */
type Measured = readonly [on: string, value: number | undefined]

/** One aim for all that is measured, or one for each. */
type Aim = number | ReadonlyArray<number>

interface Limit {
  readonly figure: string
  readonly against: string
  readonly atLeast?: Aim
  readonly atMost?: Aim
  readonly unit?: string
  readonly measure: (
    results: Results,
    settings: Settings
  ) => ReadonlyArray<readonly [on: string, value: number | undefined]>
}

const eachCommand = (measure: (command: CommandName) => number | undefined) =>
  commandNames.map((command): Measured => [command, measure(command)])

const callers = (callers: number, synchronous: Synchronous, subject: string): Limit["measure"] => (results) =>
  eachCommand((command) => {
    const value: Case = { subject: "caravel", command, synchronous, callers }
    const other: Case = { subject, command, synchronous }
    return results.ratio("callers", value, {
      figure: "commands/s",
      to: () => subject === "naive" ? { ...other, callers: 64 } : other
    })
  })

const alone = (synchronous: Synchronous, subject: string): Limit["measure"] => (results) =>
  eachCommand((command) =>
    results.ratio("alone", { subject: "caravel", command, synchronous }, {
      figure: "p50",
      to: (value) => ({ ...value, subject })
    })
  )

/** Targets for reading a whole large journal: speed and memory. */
const wholeJournal = (scenario: string, atLeast: number): ReadonlyArray<Limit> => [
  {
    figure: `${scenario}, events/s`,
    against: "raw paged read of the same rows",
    atLeast,
    measure: (results, { many }) => [[
      `at ${many.toLocaleString("en")}`,
      results.ratio(scenario, { subject: "caravel", events: many }, {
        figure: "events/s",
        to: (value) => ({ ...value, subject: "raw" })
      })
    ]]
  },
  {
    figure: `${scenario}, peak RSS`,
    against: "absolute",
    atMost: 200,
    unit: " MiB",
    measure: (results, { many }) => [[
      `at ${many.toLocaleString("en")}`,
      results.median(scenario, { subject: "caravel", events: many }, "peak")
    ]]
  }
]

/** Targets on PostgreSQL, in one process. */
const onPostgres = (callers: number, to: Partial<Case>): Limit["measure"] => (results) =>
  eachCommand((command) =>
    results.ratio("postgres", { subject: "postgres-caravel", command, callers, processes: 1 }, {
      figure: "commands/s",
      to: (value) => ({ ...value, ...to })
    })
  )

/** Targets on PostgreSQL, in four processes. */
const fourProcesses = (callers: number, to: Partial<Case>): Limit["measure"] => (results) => [[
  "",
  results.ratio("postgres", { subject: "postgres-caravel", command: "createRelay", callers, processes: 4 }, {
    figure: "commands/s",
    to: (value) => ({ ...value, ...to })
  })
]]

/** Targets for what one process commits and another one receives. */
const betweenProcesses = (database: string, scenario: string, subject: string): ReadonlyArray<Limit> =>
  ([["p50", 3], ["p99", 15]] as const).map(([figure, atMost]) => ({
    figure: `${database}, commit in one process → delivery in another, ${figure}`,
    against: "absolute",
    atMost,
    unit: " ms",
    measure: (results) =>
      [1, 64].map((callers) => [
        `with ${callers} caller${callers === 1 ? "" : "s"}`,
        results.median(scenario, { subject, callers, processes: 2 }, figure)
      ])
  }))

const limits: ReadonlyArray<Limit> = [
  {
    figure: "64 callers, FULL, commands/s",
    against: "raw, one commit per command",
    atLeast: 3.5,
    measure: callers(64, "full", "raw")
  },
  {
    figure: "64 callers, FULL",
    against: "raw with 64 commands per commit",
    atLeast: [0.88, 0.75],
    measure: callers(64, "full", "raw64")
  },
  {
    figure: "64 callers, NORMAL, commands/s",
    against: "raw",
    atLeast: [1.3, 1.7],
    measure: callers(64, "normal", "raw")
  },
  {
    figure: "64 callers, FULL",
    against: "naive Effect, 64 callers",
    atLeast: 6,
    measure: callers(64, "full", "naive")
  },
  {
    figure: "256 callers, FULL",
    against: "raw with 64 commands per commit",
    atLeast: 0.4,
    measure: callers(256, "full", "raw64")
  },
  {
    figure: "10,000 callers, FULL",
    against: "256 callers",
    atLeast: 0.95,
    measure: (results, { waiting }) =>
      eachCommand((command) =>
        results.ratio("callers", { subject: "caravel", command, synchronous: "full", callers: waiting }, {
          figure: "commands/s",
          to: (value) => ({ ...value, callers: 256 })
        })
      )
  },
  {
    figure: "64 callers, FULL, event loop delay, p99",
    against: "absolute",
    atMost: 10,
    unit: " ms",
    measure: (results) =>
      eachCommand((command) =>
        results.median("callers", { subject: "caravel", command, synchronous: "full", callers: 64 }, "delay p99")
      )
  },
  { figure: "alone, FULL, p50", against: "raw", atMost: [1.5, 1.4], measure: alone("full", "raw") },
  { figure: "alone, NORMAL, p50", against: "raw", atMost: [1.8, 1.9], measure: alone("normal", "raw") },
  { figure: "alone, NORMAL, p50", against: "naive Effect", atMost: 0.8, measure: alone("normal", "naive") },
  {
    figure: "cost per command at 1,000,000 events",
    against: "at 1,000",
    atMost: 1.15,
    measure: (results, { few, many }) =>
      synchronousModes.flatMap((synchronous) =>
        commandNames.map((command) => [
          `${command} ${synchronous.toUpperCase()}`,
          results.ratio("size", { subject: "caravel", command, synchronous, callers: 64, events: many }, {
            figure: "µs/command",
            to: (value) => ({ ...value, events: few })
          })
        ])
      )
  },
  {
    figure: "commit → live subscriber while 64 callers write without pause, p99",
    against: "absolute, 10 s",
    atMost: 50,
    unit: " ms",
    measure: (results) =>
      synchronousModes.flatMap((synchronous) =>
        ["caravel", "caravel-feed"].map((subject) => [
          `${subject} ${synchronous.toUpperCase()}`,
          results.median("delivery", { subject, synchronous, callers: 64 }, "p99")
        ])
      )
  },
  ...betweenProcesses("SQLite", "sqlite-delivery", "caravel"),
  {
    figure: "catch-up, activities/s, decoded",
    against: "raw paged read of the same rows",
    atLeast: 0.5,
    measure: (results, { many, some }) =>
      [some, many].map((events) => [
        `at ${events.toLocaleString("en")}`,
        results.ratio("catch-up", { subject: "caravel", events }, {
          figure: "activities/s",
          to: (value) => ({ ...value, subject: "raw" })
        })
      ])
  },
  {
    figure: "a consumer 100,000 activities behind, activities/s",
    against: "raw paged read of the same rows",
    atLeast: [0.6, 0.45],
    measure: (results, { some }) =>
      ["caravel", "caravel-parking"].map((subject) => [
        subject === "caravel" ? "" : "parking 1 in 1,000",
        results.ratio("consuming", { subject, events: some }, {
          figure: "activities/s",
          to: (value) => ({ ...value, subject: "raw" })
        })
      ])
  },
  {
    figure: "100 subscribers, deliveries/s",
    against: "Effect `PubSub` with `takeAll`",
    atLeast: 0.7,
    measure: (results) =>
      [["caravel", "bounded"], ["caravel", "unbounded"], ["caravel-feed", "stream"]].map(([subject = "", kind]) => [
        `${subject} / ${kind}`,
        results.ratio("broadcast", { subject, subscribers: 100 }, {
          figure: "deliveries/s",
          to: (value) => ({ ...value, subject: `pubsub-${kind}` })
        })
      ])
  },
  {
    figure: "history of one relay at 1,000,000 events",
    against: "at 1,000",
    atMost: 1.2,
    measure: (results, { few, many }) =>
      ["same", "other"].map((relay): Measured => [
        relay === "same" ? "again and again" : "relay after relay",
        results.ratio("history", { subject: "caravel", events: many }, {
          figure: `µs/${relay}`,
          to: (value) => ({ ...value, events: few })
        })
      ])
  },
  {
    figure: "opening a file with 1,000,000 events",
    against: "opening an empty one",
    atMost: 1.5,
    measure: (results, { many }) => [[
      "",
      results.ratio("opening", { subject: "caravel", events: many }, {
        figure: "open",
        to: (value) => ({ ...value, events: 0 })
      })
    ]]
  },
  {
    figure: "peak RSS after 2,000,000 commands through 64 callers",
    against: "after 1,000,000",
    atMost: 20,
    unit: " MiB",
    measure: (results) =>
      synchronousModes.map((synchronous) => [
        synchronous.toUpperCase(),
        results.median("memory", { subject: "caravel", command: "deactivateRelay", synchronous, callers: 64 }, "growth")
      ])
  },
  ...wholeJournal("verify", 0.3),
  ...wholeJournal("rebuild", 0.15),
  {
    figure: "PostgreSQL, 64 callers, commands/s",
    against: "naive Effect, 64 callers",
    atLeast: 5,
    measure: onPostgres(64, { subject: "postgres-naive" })
  },
  {
    figure: "PostgreSQL, 64 callers, commands/s",
    against: "naive Effect that keeps the order, 64 callers",
    atLeast: 5,
    measure: onPostgres(64, { subject: "postgres-naive-ordered" })
  },
  {
    figure: "PostgreSQL, 256 callers, commands/s",
    against: "64 callers",
    atLeast: 1,
    measure: onPostgres(256, { callers: 64 })
  },
  {
    figure: "PostgreSQL, one caller in each of four processes, commands/s",
    against: "naive Effect that keeps the order",
    atLeast: 1,
    measure: fourProcesses(4, { subject: "postgres-naive-ordered" })
  },
  {
    figure: "PostgreSQL, 64 callers in four processes, commands/s",
    against: "64 callers in one process",
    atLeast: 0.9,
    measure: fourProcesses(64, { processes: 1 })
  },
  {
    figure: "PostgreSQL, one caller, CPU of the process per command",
    against: "absolute",
    atMost: 0.3,
    unit: " ms",
    measure: (results) =>
      eachCommand((command) =>
        results.median("postgres", { subject: "postgres-caravel", command, callers: 1, processes: 1 }, "CPU ms")
      )
  },
  ...betweenProcesses("PostgreSQL", "postgres-delivery", "postgres-caravel")
]

/** Compares the results with the targets. */
export const judge = (results: Results, settings: Settings): ReadonlyArray<Target> =>
  limits.map(({ against, atLeast, atMost, figure, measure, unit = "×" }) => {
    const aims = [atLeast ?? atMost ?? []].flat()
    return {
      figure,
      against,
      target: `${atLeast === undefined ? "≤" : "≥"} ${aims.join(" / ")}${unit}`,
      measured: measure(results, settings).flatMap(([on, value], n) => {
        if (value === undefined) return []
        const aim = aims[n % aims.length]!
        return [{
          on,
          value: `${value.toFixed(2)}${unit}`,
          met: atLeast === undefined ? value <= aim : value >= aim
        }]
      })
    }
  })
