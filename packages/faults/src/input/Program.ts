/** The program `caravel` in this process: what it prints, and how it ends. */
import { Cli, Output } from "@caravel/runner"
import * as NodeContext from "@effect/platform-node/NodeContext"
import { Cause, ConfigProvider, Effect, Exit } from "effect"
import { secret } from "./Payloads.js"

/** What a run of the program printed, and whether it succeeded. */
export interface Result {
  readonly ok: boolean
  /** What a program must not do, if it did it. */
  readonly wrong: string | undefined
  readonly stdout: ReadonlyArray<string>
  readonly stderr: string
}

/** A run that has not ended by then is told to, as by Ctrl-C. */
const patience = "500 millis"

/** Runs the program, which may write to nothing but the current directory. */
export const run = (
  args: ReadonlyArray<string>,
  variables: { readonly [name: string]: string } = {}
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
      Effect.timeoutOption(patience),
      Effect.provideService(Output.Output, output),
      Effect.provide(NodeContext.layer),
      Effect.withConfigProvider(ConfigProvider.fromMap(new Map(Object.entries(variables)))),
      Effect.exit,
      Effect.map((exit) => ({
        ok: Exit.isSuccess(exit),
        wrong: wrongWith(exit, stderr.join("\n"), stdout.join("\n")),
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
