/** The program `caravel` in this process: what it prints, and how it ends. */
import { Cli, Output } from "@caravel/runner"
import * as NodeContext from "@effect/platform-node/NodeContext"
import { Cause, ConfigProvider, Effect, Exit, Option } from "effect"
import { secret } from "./Payloads.js"

/** What a run of the program printed, and whether it ended and succeeded. */
export interface Result {
  readonly ok: boolean
  /** What a program must not do, if it did it. */
  readonly wrong: string | undefined
  readonly stdout: ReadonlyArray<string>
  readonly stderr: string
}

/** What a run is given. */
export interface Options {
  readonly variables?: { readonly [name: string]: string }
  /** Whether the run ends only if it is told to, by design. */
  readonly isEndless?: boolean
}

/** A run that is endless by design is told to end by then, as by Ctrl-C. */
const glimpse = "500 millis"

/** A run that has not ended by then never will. */
const patience = "1 minute"

/** Runs the program, which may write to nothing but the current directory. */
export const run = (
  args: ReadonlyArray<string>,
  { isEndless = false, variables = {} }: Options = {}
): Effect.Effect<Result> =>
  Effect.suspend(() => {
    const stdout: Array<string> = []
    const stderr: Array<string> = []
    const output = Output.Output.of({
      print: (line) => Effect.sync(() => void stdout.push(line)),
      note: (line) => Effect.sync(() => void stderr.push(line)),
      status: () => Effect.void,
      isTerminal: false,
      isErrorTerminal: false,
      columns: 100,
      style: Output.makeStyle(false),
      errorStyle: Output.makeStyle(false)
    })
    return Cli.main(["node", "caravel", ...args]).pipe(
      // A run that cannot be interrupted is not waited for either.
      Effect.disconnect,
      Effect.timeoutOption(isEndless ? glimpse : patience),
      Effect.provideService(Output.Output, output),
      Effect.provide(NodeContext.layer),
      Effect.withConfigProvider(ConfigProvider.fromMap(new Map(Object.entries(variables)))),
      Effect.exit,
      Effect.map((exit) => ({
        ok: Exit.isSuccess(exit) && Option.isSome(exit.value),
        wrong: Exit.isSuccess(exit) && Option.isNone(exit.value) && !isEndless
          ? `it has not ended after ${patience}`
          : wrongWith(exit, stderr.join("\n"), stdout.join("\n")),
        stdout,
        stderr: stderr.join("\n")
      }))
    )
  })

const wrongWith = (exit: Exit.Exit<unknown, unknown>, stderr: string, stdout: string) => {
  const shown = `${stderr}\n${stdout}`
  if (Exit.isFailure(exit) && Cause.isDie(exit.cause)) return `a defect: ${Cause.pretty(exit.cause)}`
  if (Exit.isFailure(exit) && shown.trim() === "") return "it fails and says nothing"
  if (shown.includes(secret)) return `it shows a wallet URL: ${shown}`
  const internal = /\n\s+at .*:\d+:\d+|\[object Object\]|\bFiberFailure\b/.exec(stderr)
  return internal === null ? undefined : `what it says is not for people (${internal[0]}): ${stderr}`
}
