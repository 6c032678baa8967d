/** What a subcommand is, and how each family declares its own: a name, a help text, options and what it executes. */
import type { CliApp } from "@effect/cli/CliApp"
import * as CliConfig from "@effect/cli/CliConfig"
import * as Command from "@effect/cli/Command"
import type { HelpDoc } from "@effect/cli/HelpDoc"
import type { ValidationError } from "@effect/cli/ValidationError"
import type { Effect, Types } from "effect"
import * as Syntax from "../cli/Syntax.js"
import { version } from "../cli/Version.js"
import type { Output } from "../terminal/Output.js"

/** How the library parses arguments and describes them. */
export const config: CliConfig.CliConfig = CliConfig.make({ showBuiltIns: false, isCaseSensitive: true })

type Failure = Error & { readonly _tag: string }

/** A subcommand. Its name has two words if it belongs to another one. */
export interface Subcommand {
  readonly name: string
  readonly help: () => HelpDoc
  readonly syntax: () => Syntax.Syntax
  /** Runs the subcommand with the arguments that `Syntax.read` returned. */
  readonly execute: (
    args: ReadonlyArray<string>
  ) => Effect.Effect<void, Failure | ValidationError, Output | CliApp.Environment>
}

/** Declares a subcommand. `execute` takes what `options` parse. */
export const make = <const Options extends Command.Command.Config>(declared: {
  readonly name: string
  readonly help: string
  readonly options: Options
  readonly execute: (
    options: Types.Simplify<Command.Command.ParseConfig<Options>>
  ) => Effect.Effect<void, Failure, Output>
}): Subcommand => {
  const command = Command.make(declared.name, declared.options, declared.execute).pipe(
    Command.withDescription(declared.help)
  )
  const execute = Command.run(command, { name: "caravel", version, executable: "caravel" })
  return {
    name: declared.name,
    help: () => Command.getHelp(command, config),
    syntax: () => Syntax.fromUsage(Command.getUsage(command)),
    execute: (args) => execute(["node", "caravel", ...args])
  }
}
