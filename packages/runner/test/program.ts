/** The program in this process, with an `Output` that keeps what it is given: for what needs no process of its own. */
import * as NodeContext from "@effect/platform-node/NodeContext"
import { Clock, ConfigProvider, Effect, Exit, Function } from "effect"
import { main } from "../src/Cli.js"
import { makeStyle, Output, OutputClosed } from "../src/terminal/Output.js"
import type { Result } from "./process.js"

export const program = (
  args: ReadonlyArray<string>,
  options: {
    readonly isTerminal?: boolean
    readonly columns?: number
    readonly env?: Record<string, string>
    /** The instant at which the clock stands still, for what prints an age. */
    readonly now?: number
    /** After how many prints standard output is closed, as by `head`. */
    readonly closedAfter?: number
    /** Interrupts the program. */
    readonly signal?: AbortSignal
  } = {}
): Promise<Result> => {
  const stdout: Array<string> = []
  const stderr: Array<string> = []
  const output = Output.of({
    print: (line) =>
      Effect.suspend(() =>
        stdout.length === options.closedAfter
          ? Effect.fail(new OutputClosed())
          : Effect.sync(() => void stdout.push(line))
      ),
    note: (line) => Effect.sync(() => void stderr.push(line)),
    status: () => Effect.void,
    isTerminal: options.isTerminal ?? false,
    isErrorTerminal: options.isTerminal ?? false,
    columns: options.columns ?? 100,
    style: makeStyle(false),
    errorStyle: makeStyle(false)
  })
  return main(["node", "caravel", ...args]).pipe(
    Effect.provideService(Output, output),
    Effect.provide(NodeContext.layer),
    Effect.withConfigProvider(ConfigProvider.fromMap(new Map(Object.entries(options.env ?? {})))),
    options.now === undefined ? Function.identity : Effect.withClock(standingAt(options.now)),
    Effect.exit,
    Effect.map((exit) => ({
      code: Exit.isSuccess(exit) ? 0 : 1,
      stdout: stdout.join("\n"),
      stderr: stderr.join("\n"),
      get json() {
        return stdout.map((line) => JSON.parse(line))
      }
    })),
    (running) => Effect.runPromise(running, options.signal === undefined ? {} : { signal: options.signal })
  )
}

/** At an instant: the clock stands still, but waiting takes its time. */
export const at = (iso: string) => Effect.withClock(standingAt(Date.parse(iso)))

const standingAt = (millis: number): Clock.Clock =>
  Object.assign(Clock.make(), { currentTimeMillis: Effect.succeed(millis), unsafeCurrentTimeMillis: () => millis })
