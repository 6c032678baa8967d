import { Array as Arr, Effect, type Scope } from "effect"
import type { Case } from "../Case.js"
import * as Load from "../Load.js"
import type { Part } from "../Message.js"
import * as Parts from "../Parts.js"
import * as PostgresSchema from "../PostgresSchema.js"
import type { Figures, Place, Scenario } from "../Scenario.js"
import type { Settings } from "../Settings.js"
import { postgresSubjects } from "../subjects/index.js"

/** Throughput on PostgreSQL, of one process and of several. */
export const scenario: Scenario = {
  title: "On PostgreSQL",
  description:
    "Commands per second of callers that each issue their next command when the previous one was answered, in one " +
    "process and spread over four, which write to one schema; the CPU time of these processes per command, and the " +
    "transactions per command that the server has ended, which counts every program that uses the database.",
  figures: { "commands/s": 0, "CPU ms": 3, transactions: 2 },
  postgres: true,
  comparisons: ["postgres-naive", "postgres-naive-ordered", "postgres-emmett"].map((subject) => ({
    title: `× ${subject}`,
    figure: "commands/s",
    to: (value) => ({ ...value, subject })
  })),
  cases: ({ commands }) =>
    commands.flatMap((command) =>
      (command === "createRelay" ? [1, 4] : [1]).flatMap((processes) =>
        Object.keys(postgresSubjects).flatMap((subject) => {
          const isCaravel = subject === "postgres-caravel"
          const callers = processes === 1
            ? [1, 64, ...(isCaravel ? [256] : [])]
            : [processes, ...(isCaravel ? [64] : [])]
          return callers.map((callers): Case => ({ subject, command, callers, processes }))
        })
      )
    ),
  measure: (value, place) =>
    Effect.gen(function*() {
      if (place.part !== undefined) return yield* measurePart(value, place, place.part)
      const url = yield* PostgresSchema.temporary(place.directory, relaysOf(value, place.settings))
      yield* subjectOf(value).prepare(url)
      const { processes: of = 1 } = value
      const parts = yield* Effect.forEach(
        Arr.range(0, of - 1),
        (index) =>
          of === 1
            ? measurePart(value, place, { url, index, of })
            : Parts.measure("postgres", value, { ...place, part: { url, index, of } }),
        { concurrency: "unbounded" }
      )
      const sum = (figure: string) => parts.reduce((sum, figures) => sum + figures[figure]!, 0)
      const commands = sum("commands")
      return {
        "commands/s": sum("commands/s"),
        "CPU ms": sum("CPU ms") / commands,
        transactions: sum("transactions") / commands
      }
    })
}

const subjectOf = ({ subject }: Case) => {
  const found = postgresSubjects[subject]
  if (found === undefined) throw new Error(`no subject on PostgreSQL is called ${subject}`)
  return found
}

/** Enough relays that no two callers change the same one: Emmett would refuse the later command. */
const relaysOf = ({ callers = 1 }: Case, { relays }: Settings) => Math.max(relays, 2 * callers)

/** The figures of a process; its CPU time and the transactions are those of all its commands. */
const measurePart = (value: Case, { settings }: Place, part: Part): Effect.Effect<Figures, never, Scope.Scope> =>
  Effect.gen(function*() {
    const { command = "deactivateRelay", callers = 1 } = value
    const { processMillis, serverMillis, warmUpMillis } = settings
    const session = yield* subjectOf(value).open({ url: part.url })
    const load = { command, relays: relaysOf(value, settings), part, callers: callers / part.of }
    yield* Load.warmUp((load) => Load.run(session, load), { ...load, millis: warmUpMillis })
    yield* PostgresSchema.awaitOthers(part)
    const counts = part.index === 0
    const before = counts ? yield* PostgresSchema.transactions(part.url) : 0
    const { commands, cpuMillis, millis } = yield* Load.run(session, {
      ...load,
      millis: part.of === 1 ? serverMillis : processMillis
    })
    const after = counts ? yield* PostgresSchema.transactions(part.url) : 0
    return {
      commands,
      "commands/s": commands / millis * 1000,
      "CPU ms": cpuMillis,
      transactions: after - before
    }
  })
