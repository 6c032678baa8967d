/**
 * `caravel demo`: runs a realistic scenario in its own database, and shows the live activities next to each command.
 */
import { type Activity, Command, type CommandTag, decodeCommand, Query } from "@caravel/domain"
import { commandTable, secretFields } from "@caravel/domain/adapter"
import { Sqlite } from "@caravel/sql"
import { Chunk, Duration, Effect, Either, Option, Queue, Schema, String as Str } from "effect"
import { readFile, rm } from "node:fs/promises"
import { basename, relative } from "node:path"
import process from "node:process"
import { fileURLToPath } from "node:url"
import * as Layout from "../terminal/Layout.js"
import { Failed, Output, type Style } from "../terminal/Output.js"
import * as Render from "../terminal/Render.js"
import * as Subcommand from "./Subcommand.js"

/** The demo's database, which each run creates again. */
const filename = "data/demo.db"

const Step = Schema.parseJson(Schema.Struct(
  // A note starts a chapter.
  { _tag: Schema.String, note: Schema.optional(Schema.String) },
  { key: Schema.String, value: Schema.Unknown }
))

type Step = typeof Step.Type

const scenario = Effect.tryPromise({
  try: () => readFile(fileURLToPath(new URL("../../data/scenario.jsonl", import.meta.url)), "utf8"),
  catch: (error) => new Failed({ message: `The scenario cannot be read: ${error}` })
}).pipe(Effect.flatMap((text) => Effect.forEach(text.trim().split("\n"), (line) => Schema.decode(Step)(line))))

const removeDatabase = Effect.tryPromise({
  try: async () => {
    for (const suffix of ["", "-wal", "-shm"]) await rm(`${filename}${suffix}`, { force: true })
  },
  catch: (error) => new Failed({ message: `${filename} cannot be removed: ${error}` })
})

/** A command in a few words, such as `updateRelay podcast-live plan=growth`. */
const wordsOf = ({ _tag, id, note: _, pubkey, tenant, ...fields }: Step): readonly [method: string, words: string] => {
  const isOneValue = commandTable[_tag as CommandTag].parameters.length === 2
  const values = Object.entries(fields).map(([name, value]) =>
    secretFields.has(name) && value !== null ? `${name}=<redacted>` : isOneValue ? `"${value}"` : `${name}=${value}`
  )
  const owner = tenant === undefined ? [] : [`for ${tenant}`]
  return [Str.uncapitalize(_tag), short([id ?? pubkey, ...owner, ...values].join(" "))]
}

const short = (text: string) => text.replace(/\b([0-9a-f]{8})[0-9a-f]{56}\b/g, "$1…")

interface Outcome {
  readonly step: Step
  readonly error: (Error & { readonly _tag: string }) | undefined
  /** The activities that subscribers had received when the command returned. */
  readonly received: ReadonlyArray<Activity>
}

const outcomeLines = ({ error, received, step }: Outcome, width: number, style: Style): ReadonlyArray<string> => {
  const [method, words] = wordsOf(step)
  const name = (text: string) => text.replace(method, style.bold(method))
  if (error !== undefined) {
    return [
      ...Layout.wrapped(`${method} ${words}`, width - 4).map((line, n) =>
        n === 0 ? `  ${style.red("✗")} ${name(line)}` : `    ${line}`
      ),
      ...Layout.wrapped(`${error._tag}: ${short(Render.messageOf(error))}`, width - 4).map((line) =>
        `    ${style.red(line)}`
      )
    ]
  }
  const activities = received.map(({ activityType, position }) =>
    style.cyan(`◀ ${`#${position}`.padEnd(4)} ${activityType}`)
  )
  const right = activities.length === 0 ? style.dim("  logs no activity") : activities.join(" ")
  const left = `${method} ${words}`
  const room = width - activityWidth - 4
  if (left.length + 2 <= room) return [`  ${style.green("✓")} ${name(left.padEnd(room))}${right}`]
  return [
    ...Layout.wrapped(left, width - 4).map((line, n) =>
      n === 0 ? `  ${style.green("✓")} ${name(line)}` : `    ${line}`
    ),
    `    ${right}`
  ]
}

const activityWidth = 27

/** Executes the steps one after another, and shows each with the activities that the subscription received. */
const play = Effect.fnUntraced(function*(steps: ReadonlyArray<Step>, width: number) {
  const output = yield* Output
  const command = yield* Command
  const live = yield* command.notify.subscribe
  const outcomes: Array<Outcome> = []
  for (const step of steps) {
    if (step.note !== undefined) {
      yield* output.print("")
      yield* output.print(`  ${output.style.bold(step.note)}`)
    }
    const result = yield* Effect.either(
      Effect.flatMap(decodeCommand(step), (request) => command.submit([request]))
    )
    const outcome = {
      step,
      error: Option.getOrUndefined(Either.getLeft(result)),
      received: Chunk.toReadonlyArray(yield* Queue.takeAll(live))
    }
    outcomes.push(outcome)
    for (const line of outcomeLines(outcome, width, output.style)) yield* output.print(line)
    // Slow enough to read along.
    if (output.isTerminal) yield* Effect.sleep(Duration.millis(40))
  }
  return outcomes
}, Effect.scoped)

/** The command by which the program was started: its name, npx or node. */
export const programName = (
  { argv: [, script = ""], env }: { readonly argv: ReadonlyArray<string>; readonly env: NodeJS.ProcessEnv }
): string =>
  /^bin\.[jt]s$/.test(basename(script))
    ? `node ${relative("", script)}`
    : env["npm_command"] === "exec"
    ? "npx caravel"
    : "caravel"

const conclude = Effect.fnUntraced(function*(outcomes: ReadonlyArray<Outcome>, width: number) {
  const { print, style } = yield* Output
  const query = yield* Query
  const tenants = yield* query.tenants
  const relays = yield* query.relays
  const refused = outcomes.filter(({ error }) => error !== undefined).length
  const received = outcomes.reduce((count, outcome) => count + outcome.received.length, 0)
  const logged = (yield* query.activity()).length
  const caravel = programName(process)
  const next = [
    [`${caravel} activity --database ${filename}`, "the activity log"],
    [`${caravel} relay podcast-live --database ${filename}`, "one relay, with all its fields"],
    [`${caravel} history relay podcast-live --database ${filename}`, "what happened to it"],
    [`${caravel} verify --database ${filename}`, "whether the rows agree with the journal"],
    [`${caravel} deactivate-relay --id club-rides --database ${filename}`, "your own command"],
    [`${caravel} activity --follow --database ${filename}`, "as it happens, from another terminal"],
    [`${caravel} --help`, "everything else"]
  ] as const
  const lines = [
    "",
    style.bold(`${tenants.length} tenants`),
    ...Render.tenantTable(tenants, { columns: width, style }),
    "",
    style.bold(`${relays.length} relays`),
    ...Render.relayTable(relays, { columns: width, style }),
    "",
    `${style.bold(`${outcomes.length} commands`)}: ${style.green(`${outcomes.length - refused} accepted`)}, ` +
    `${style.red(`${refused} refused`)}; ${style.cyan(`${logged} activities`)} logged, ${received} received live`,
    "",
    style.bold("Try next"),
    ...next.flatMap(([line, what]) => [`  ${style.dim(`# ${what}`)}`, `  ${line}`])
  ]
  yield* Effect.forEach(lines, print, { discard: true })
})

/** Runs the scenario, and prints a summary and what to try next. */
const demo = Effect.gen(function*() {
  const output = yield* Output
  const width = Math.min(output.columns, 100)
  const steps = yield* scenario
  yield* removeDatabase
  yield* output.print(output.style.bold("Caravel: a relay host's day in commands"))
  yield* output.print(output.style.dim(`Database: ${filename}, created again by each run`))
  yield* output.print(output.style.dim("◀ is what a live subscriber to the activities receives, with its position"))
  yield* Effect.provide(
    Effect.flatMap(play(steps, width), (outcomes) => conclude(outcomes, width)),
    Sqlite.layer({ filename })
  )
}).pipe(Effect.withSpan("Demo.demo"))

/** The subcommands of this family. */
export const subcommands: ReadonlyArray<Subcommand.Subcommand> = [
  Subcommand.make({
    name: "demo",
    help: `Runs a scenario in its own database, ${filename}, which each run recreates.`,
    options: {},
    execute: () => demo
  })
]
