/** The runner's output: results go to standard output, and messages for people only go to standard error. */
import { Config, Context, Data, DateTime, Effect, Layer, Option } from "effect"
import process from "node:process"

/**
 * Standard output was closed, as by `| head`. The program ends silently.
 *
 * @since 0.1.0
 * @category errors
 */
export class OutputClosed extends Data.TaggedError("OutputClosed")<{}> {}

/**
 * The program must end with exit code 1. An empty message means that the error was already printed.
 *
 * @since 0.1.0
 * @category errors
 */
export class Failed extends Data.TaggedError("Failed")<{ readonly message: string }> {}

/**
 * For a command that does or checks more than it has printed so far: it fails if standard output is closed before its
 * end.
 *
 * @since 0.1.0
 * @category combinators
 */
export const toTheEnd: <A, E, R>(
  command: Effect.Effect<A, E | OutputClosed, R>
) => Effect.Effect<A, Exclude<E, OutputClosed> | Failed, R> = (command) =>
  Effect.catchIf(
    command,
    (error) => error instanceof OutputClosed,
    () => new Failed({ message: "Standard output was closed before the command had ended" })
  )

/**
 * Functions that colour text, or return it unchanged if colours are disabled, and the time zone of printed instants.
 *
 * @since 0.1.0
 * @category models
 */
export interface Style {
  readonly zone: DateTime.TimeZone
  readonly bold: (text: string) => string
  readonly dim: (text: string) => string
  readonly red: (text: string) => string
  readonly green: (text: string) => string
  readonly yellow: (text: string) => string
  readonly cyan: (text: string) => string
}

/**
 * The style with or without colours, in UTC.
 *
 * @since 0.1.0
 * @category constructors
 */
export const makeStyle = (colours: boolean): Style => {
  const paint = (on: number, off: number) => (text: string) =>
    colours && text !== "" ? `\u001b[${on}m${text}\u001b[${off}m` : text
  return {
    zone: DateTime.zoneUnsafeMakeNamed("UTC"),
    bold: paint(1, 22),
    dim: paint(2, 22),
    red: paint(31, 39),
    green: paint(32, 39),
    yellow: paint(33, 39),
    cyan: paint(36, 39)
  }
}

/**
 * The streams that the program writes to, and whether people read them.
 *
 * @since 0.1.0
 * @category services
 */
export class Output extends Context.Tag("@caravel/runner/Output")<Output, {
  /** Writes a line to standard output and waits until it has been taken. */
  readonly print: (line: string) => Effect.Effect<void, OutputClosed | Failed>
  /** Writes a line to standard error. */
  readonly note: (line: string) => Effect.Effect<void>
  /** Shows a line on standard error that the next one replaces. An empty line removes it. */
  readonly status: (line: string) => Effect.Effect<void>
  /** Whether standard output is a terminal, so that tables are printed. */
  readonly isTerminal: boolean
  /** Whether standard error is a terminal. */
  readonly isErrorTerminal: boolean
  /** The width of the terminal; 100 if there is none. */
  readonly columns: number
  /** The colours of standard output. */
  readonly style: Style
  /** The colours of standard error. */
  readonly errorStyle: Style
}>() {}

/**
 * The output with another time zone.
 *
 * @since 0.1.0
 * @category combinators
 */
export const inZone = (output: typeof Output.Service, zone: DateTime.TimeZone): typeof Output.Service => ({
  ...output,
  style: { ...output.style, zone }
})

const write = (stream: NodeJS.WriteStream, text: string) =>
  Effect.async<void, OutputClosed | Failed>((resume) => {
    stream.write(text, (error) => {
      if (!error) return resume(Effect.void)
      const code = "code" in error ? error.code : undefined
      const closed = code === "EPIPE" || code === "ERR_STREAM_DESTROYED"
      resume(Effect.fail(
        closed ? new OutputClosed() : new Failed({ message: `Standard output cannot be written: ${error.message}` })
      ))
    })
  })

/**
 * Whether the terminal is one that shows control sequences as text, which `TERM=dumb` says.
 *
 * @since 0.1.0
 * @category accessors
 */
export const isDumb: Effect.Effect<boolean> = Config.string("TERM").pipe(
  Effect.option,
  Effect.map(Option.contains("dumb"))
)

/**
 * The process's own standard output and standard error. `NO_COLOR` switches the colours off, and `TERM=dumb` all control
 * sequences.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<Output> = Layer.effect(
  Output,
  Effect.gen(function*() {
    const { stderr, stdout } = process
    // A failed write is reported by its callback. Without a listener, it would also end the process with a stack trace.
    for (const stream of [stdout, stderr]) stream.on("error", () => {})
    const noColor = yield* Config.string("NO_COLOR").pipe(Config.withDefault(""), Effect.option)
    const dumb = yield* isDumb
    const colours = Option.getOrElse(noColor, () => "") === "" && !dumb
    const say = (text: string) => Effect.ignore(write(stderr, text))
    const canClear = stderr.isTTY && !dumb
    const clear = canClear ? "\r\u001b[K" : ""
    return {
      print: (line) => write(stdout, `${line}\n`),
      note: (line) => say(`${clear}${line}\n`),
      status: (line) => canClear ? say(`${clear}${line}`) : Effect.void,
      isTerminal: stdout.isTTY === true,
      isErrorTerminal: stderr.isTTY === true,
      columns: stdout.isTTY && stdout.columns > 0 ? stdout.columns : 100,
      style: makeStyle(colours && stdout.isTTY === true),
      errorStyle: makeStyle(colours && stderr.isTTY === true)
    }
  })
)
