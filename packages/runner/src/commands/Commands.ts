/** The subcommands of `caravel`, by name. */
import { Activity, Command as Service, commands, type CommandTag, decodeCommand } from "@caravel/domain"
import * as Args from "@effect/cli/Args"
import type { CliApp } from "@effect/cli/CliApp"
import * as CliConfig from "@effect/cli/CliConfig"
import * as Command from "@effect/cli/Command"
import type { HelpDoc } from "@effect/cli/HelpDoc"
import * as Options from "@effect/cli/Options"
import type { ValidationError } from "@effect/cli/ValidationError"
import { Array as Arr, Effect, Record as Rec } from "effect"
import { create, database, json, provideDatabase, provideWritable, yes } from "../cli/Arguments.js"
import { descriptionOf, optionsOf, subcommandOf } from "../cli/CommandOptions.js"
import * as SentWith from "../cli/SentWith.js"
import * as Syntax from "../cli/Syntax.js"
import * as Values from "../cli/Values.js"
import { version } from "../cli/Version.js"
import { Output } from "../terminal/Output.js"
import * as Render from "../terminal/Render.js"
import { backup, copy, epochs, restore } from "./BackupCommands.js"
import * as Consumers from "./Consumers.js"
import * as Demo from "./Demo.js"
import { diff, history, usage } from "./HistoryCommands.js"
import * as Import from "./Import.js"
import * as Init from "./Init.js"
import { activity, relay, tenant } from "./ReadCommands.js"
import * as Run from "./Run.js"
import { secretsErase, secretsRotate } from "./SecretsCommands.js"
import * as Verify from "./Verify.js"

const commandOf = (tag: CommandTag) =>
  Command.make(
    subcommandOf(tag),
    { payload: optionsOf(tag), sentWith: SentWith.options, create, json, database },
    ({ json, payload, sentWith }) =>
      Effect.gen(function*() {
        const request = yield* decodeCommand({ ...payload, _tag: tag })
        const [result] = yield* (yield* Service).submit([request]).pipe(SentWith.sentWith(sentWith))
        const output = yield* Output
        const asText = output.isTerminal && !json
        if (result instanceof Activity) {
          if (asText) yield* output.print(Render.activityTitles(output.style))
          return yield* output.print(
            asText ? Render.activityLine(result, output.style) : JSON.stringify(Render.activityJson(result))
          )
        }
        yield* output.print(
          asText ? output.style.green("Done; this command logs no activity") : JSON.stringify({ ok: true })
        )
      })
  ).pipe(Command.withDescription(descriptionOf(tag)), provideWritable)

const run = Command.make("run", {
  file: Args.text({ name: "FILE" }).pipe(
    Args.withDescription("A file of commands, one JSON object per line; standard input if it is - or omitted."),
    Args.withDefault("-")
  ),
  metadata: SentWith.metadata,
  create,
  database
}, ({ file, metadata }) => SentWith.sentWith({ metadata })(Run.run(file))).pipe(
  Command.withDescription(
    "Executes commands from JSON lines, in order, such as {\"_tag\":\"DeactivateRelay\",\"id\":\"a\"}. " +
      "Each is answered with a JSON line that has its number; the exit code is 1 if any failed. A line may also have " +
      "\"idempotencyKey\", \"expectedVersion\" and \"metadata\", such as {\"actor\":\"billing\"}."
  ),
  provideWritable
)

const init = Command.make("init", { json, database }, Init.init).pipe(
  Command.withDescription("Creates the database. An existing one is left as it is.")
)

const consumers = Command.make("consumers", { json, database }, Consumers.list).pipe(
  Command.withDescription(
    "Shows the durable consumers: the position, the backlog and the parked activities of each. " +
      "See also consumers parked, consumers replay, consumers drop and consumers reset."
  ),
  provideDatabase
)

const consumer = Args.text({ name: "NAME" }).pipe(
  Args.withDescription("The consumer's name, as caravel consumers shows it. Required.")
)

const consumersParked = Command.make("consumers parked", { name: consumer, json, database }, Consumers.parked).pipe(
  Command.withDescription(
    "Shows the activities that a consumer has parked because they failed, or because they wait behind one that did."
  ),
  provideDatabase
)

const consumersReplay = Command.make("consumers replay", { name: consumer, json, database }, Consumers.replay).pipe(
  Command.withDescription(
    "Asks the program that runs the consumer to handle its parked activities again, oldest first, and waits for it."
  ),
  provideWritable
)

const consumersDrop = Command.make("consumers drop", {
  name: consumer,
  positions: Values.options("position", Values.integer(1), "position").pipe(
    Options.withDescription("Only the activity at this position; may be repeated. All, with --yes, if omitted.")
  ),
  yes,
  json,
  database
}, Consumers.drop).pipe(
  Command.withDescription("Drops parked activities of a consumer: they will not be handled."),
  provideWritable
)

const consumersReset = Command.make("consumers reset", {
  name: consumer,
  to: Values.option("to", Values.integer(0)).pipe(
    Options.withPseudoName("position"),
    Options.withDescription("The position to continue after; 0 is the beginning. Required.")
  ),
  yes,
  json,
  database
}, Consumers.reset).pipe(
  Command.withDescription(
    "Moves a consumer backward or forward; it may be running. Activities after the position are handled, parked or not."
  ),
  provideWritable
)

const verify = Command.make("verify", { json, database }, Verify.verify).pipe(
  Command.withDescription(
    "Folds the journal and compares every row with it, even while the database is being written. The exit code is 1 if any row differs."
  ),
  provideDatabase
)

const rebuild = Command.make("rebuild", { yes, json, database }, Verify.rebuild).pipe(
  Command.withDescription(
    "Rewrites the rows that differ from the journal, in one transaction, for which writers wait. " +
      "It adds no event to the journal and broadcasts nothing."
  ),
  provideWritable
)

const demo = Command.make("demo", {}, () => Demo.demo).pipe(
  Command.withDescription(`Runs a scenario in its own database, ${Demo.filename}, which each run recreates.`)
)

/**
 * How the library parses arguments and describes them.
 *
 * @since 0.1.0
 * @category commands
 */
export const config: CliConfig.CliConfig = CliConfig.make({ showBuiltIns: false, isCaseSensitive: true })

/**
 * A subcommand. Its name has two words if it belongs to another one.
 *
 * @since 0.1.0
 * @category models
 */
export interface Entry {
  readonly name: string
  readonly help: () => HelpDoc
  readonly syntax: () => Syntax.Syntax
  /** Runs the subcommand with the arguments that `Syntax.read` returned. */
  readonly execute: (
    args: ReadonlyArray<string>
  ) => Effect.Effect<void, (Error & { readonly _tag: string }) | ValidationError, Output | CliApp.Environment>
}

const entry = <Name extends string, R extends Output, E extends Error & { readonly _tag: string }, A>(
  command: Command.Command<Name, R, E, A>
): Entry => {
  const execute = Command.run(command, { name: "caravel", version, executable: "caravel" })
  return {
    name: Arr.join(Command.getNames(command), ""),
    help: () => Command.getHelp(command, config),
    syntax: () => Syntax.fromUsage(Command.getUsage(command)),
    execute: (args) => execute(["node", "caravel", ...args])
  }
}

/**
 * All subcommands, in the order of the overview.
 *
 * @since 0.1.0
 * @category commands
 */
export const entries: ReadonlyArray<Entry> = [
  entry(init),
  entry(run),
  entry(activity),
  entry(tenant),
  entry(relay),
  entry(history),
  entry(diff),
  entry(usage),
  entry(verify),
  entry(rebuild),
  entry(backup),
  entry(restore),
  entry(copy),
  entry(epochs),
  entry(Import.command),
  entry(consumers),
  entry(consumersParked),
  entry(consumersReplay),
  entry(consumersDrop),
  entry(consumersReset),
  entry(secretsErase),
  entry(secretsRotate),
  entry(demo),
  ...Rec.keys(commands).map((tag) => entry(commandOf(tag)))
]
