/** How a result is shown: as a table, JSON lines or CSV, in a time zone, through a pager, or again and again. */
import * as Options from "@effect/cli/Options"
import { type DateTime, Effect, Option, type Scope } from "effect"
import { spawn } from "node:child_process"
import { Failed, inZone, isDumb, Output, OutputClosed } from "../terminal/Output.js"
import * as Render from "../terminal/Render.js"
import { json, refused, variable } from "./Arguments.js"
import * as Values from "./Values.js"

const kinds = ["json", "table", "csv"] as const

/**
 * How a result is shown.
 *
 * @since 0.1.0
 * @category models
 */
export interface Format {
  /** A table on a terminal and JSON lines elsewhere, if absent. */
  readonly kind: Option.Option<typeof kinds[number]>
  /** The time zone of tables. */
  readonly zone: Option.Option<DateTime.TimeZone>
  readonly pager: boolean
}

/**
 * The options of a result.
 *
 * @since 0.1.0
 * @category options
 */
export const format: Options.Options<Format> = Options.all({
  json,
  kind: Values.option("output", Values.oneOf(...kinds)).pipe(
    Options.withAlias("o"),
    Options.withPseudoName(kinds.join("|")),
    Options.optional,
    Options.withDescription("The form of the result. Default: a table on a terminal, JSON lines elsewhere.")
  ),
  zone: Values.option("tz", Values.zone).pipe(
    Options.withPseudoName("zone"),
    Options.optional,
    Options.withDescription(
      "The time zone of tables, and of dates and times without one, such as Europe/Berlin. Also TZ. Default: UTC."
    )
  ),
  pager: Options.boolean("pager").pipe(
    Options.withDescription("Shows a result on a terminal with the command in PAGER, or with less.")
  )
}).pipe(Options.mapEffect(({ json, kind, ...rest }) =>
  json && Option.exists(kind, (kind) => kind !== "json")
    ? Effect.fail(refused("--json and --output name two forms; give one of them"))
    : Effect.succeed({ ...rest, kind: json ? Option.some("json" as const) : kind })
))

/** A text that a spreadsheet would take for a formula. Tenants choose some of the texts. */
const isFormula = (text: string) => /^[=+\-@\t\r]/.test(text)

/** A cell as RFC 4180 has it. What is no text or number is JSON. An apostrophe keeps a spreadsheet from computing. */
const cell = (value: unknown) => {
  const text = value === null || value === undefined
    ? ""
    : typeof value === "string"
    ? `${isFormula(value) ? "'" : ""}${value}`
    : JSON.stringify(value)
  return /[",\r\n]|^\s|\s$/.test(text) ? `"${text.replaceAll("\"", "\"\"")}"` : text
}

/** Turns the JSON lines of a list into lines of CSV, after a line with the names of the first one's fields. */
const asCsv = (output: typeof Output.Service): typeof Output.Service => {
  let names: ReadonlyArray<string> | undefined
  return {
    ...output,
    print: (line) =>
      Effect.suspend(() => {
        const row: Record<string, unknown> = JSON.parse(line)
        const fields = names ?? Object.keys(row)
        const lines = [...(names === undefined ? [fields] : []), fields.map((name) => row[name])]
        names = fields
        return output.print(lines.map((cells) => cells.map(cell).join(",")).join("\n"))
      })
  }
}

/** The exit codes of a shell that cannot run a command. */
const notRun = [126, 127]

/** A pager, which is waited for when the scope closes. */
const start = (command: string) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const pager = spawn(command, { shell: true, stdio: ["pipe", "inherit", "inherit"] })
      // A failed write is reported by its callback.
      pager.stdin.on("error", () => {})
      const ended = new Promise<number | null>((resolve) => {
        pager.on("close", resolve)
        // There is no shell.
        pager.on("error", () => resolve(notRun[0]!))
      })
      return { stdin: pager.stdin, ended: Effect.promise(() => ended) }
    }),
    ({ ended, stdin }) => Effect.zipRight(Effect.sync(() => stdin.end()), ended)
  )

/** Writes the result to the standard input of a pager. Ends when the pager does: what it has not read, nobody wants. */
const inPager = Effect.fnUntraced(
  function*<E, R>(output: typeof Output.Service, execute: Effect.Effect<void, E, R>): Effect.fn.Return<
    void,
    E | Failed,
    Exclude<R, Output> | Scope.Scope
  > {
    const named = yield* Effect.orDie(variable("PAGER"))
    const command = named === "" ? "less -FRX" : named
    const { ended, stdin } = yield* start(command)
    const print = (line: string) =>
      Effect.async<void, OutputClosed>((resume) => {
        const text = output.isTerminal ? line : visible(line)
        stdin.write(`${text}\n`, (error) => resume(error ? Effect.fail(new OutputClosed()) : Effect.void))
      })
    yield* Effect.raceFirst(
      Effect.catchIf(
        Effect.provideService(execute, Output, { ...output, print }),
        (error) => error instanceof OutputClosed,
        () => Effect.void
      ),
      Effect.asVoid(ended)
    )
    stdin.end()
    const code = yield* ended
    if (code !== null && notRun.includes(code)) {
      return yield* new Failed({ message: `The pager ${command} cannot be run; set PAGER, or leave --pager out` })
    }
  }
)

const escaped = (unit: string) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`

/** Texts of tenants could move the cursor, or hide what follows them. */
const visible = (line: string) =>
  line.replace(/(?!\n)[\p{Cc}\p{Cf}]/gu, (character) => character.replace(/[^]/g, escaped))

/**
 * Executes a subcommand whose result is shown as its options say: a table if its output is a terminal, and JSON lines
 * otherwise.
 *
 * @since 0.1.0
 * @category combinators
 */
export const formatted =
  <A, E, R>(execute: (options: A) => Effect.Effect<void, E, R>) =>
  (options: A & { readonly format: Format }): Effect.Effect<void, E | Failed, Exclude<R, Output> | Output> =>
    Effect.scoped(Effect.gen(function*() {
      const { kind, pager, zone } = options.format
      const given = yield* Output
      const isTable = Option.match(kind, { onNone: () => given.isTerminal, onSome: (kind) => kind === "table" })
      const output: typeof Output.Service = {
        ...inZone(given, Option.getOrElse(zone, () => given.style.zone)),
        print: given.isTerminal && !isTable ? (line) => given.print(visible(line)) : given.print,
        isTerminal: isTable
      }
      if (Option.contains(kind, "csv")) return yield* Effect.provideService(execute(options), Output, asCsv(output))
      return yield* pager && given.isTerminal
        ? inPager(output, execute(options))
        : Effect.provideService(execute(options), Output, output)
    }))

/**
 * Whether to show the result again and again.
 *
 * @since 0.1.0
 * @category options
 */
export const watch: Options.Options<boolean> = Options.boolean("watch").pipe(
  Options.withDescription("Shows the result again every two seconds, on a terminal; Ctrl-C ends the command.")
)

/** Moves to the upper left corner, and clears the rest. */
const clear = "\u001b[H\u001b[2J"

/**
 * Executes a subcommand again and again with `--watch`. If it fails later, its error is shown until it succeeds again.
 *
 * @since 0.1.0
 * @category combinators
 */
export const watched =
  <A, E extends Error, R>(execute: (options: A) => Effect.Effect<void, E, R>) =>
  (options: A & { readonly watch: boolean }): Effect.Effect<void, E | Failed | OutputClosed, R | Output> =>
    options.watch
      ? Effect.gen(function*() {
        const output = yield* Output
        if (!output.isTerminal) return yield* new Failed({ message: "--watch needs a terminal" })
        const start = (yield* isDumb) ? "" : clear
        for (let count = 0;; count++) {
          const lines: Array<string> = []
          const keep = (line: string) => Effect.sync(() => void lines.push(line))
          const kept = Effect.updateService(
            execute(options),
            Output,
            (output) => ({ ...output, print: keep, note: keep })
          )
          // A host that starts again, for example, is back later.
          yield* count === 0 ? kept : Effect.catchAll(kept, (error) => keep(output.style.red(Render.messageOf(error))))
          yield* output.print(start + lines.join("\n"))
          yield* Effect.sleep("2 seconds")
        }
      })
      : execute(options)
