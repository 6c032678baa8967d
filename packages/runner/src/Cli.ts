/** The `caravel` program: its subcommands over the services, and how it ends. */
import {
  Activity,
  Command as Commands,
  commands,
  type CommandTag,
  decodeCommand,
  withoutSecrets
} from "@caravel/domain"
import * as Args from "@effect/cli/Args"
import * as CliConfig from "@effect/cli/CliConfig"
import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import * as ValidationError from "@effect/cli/ValidationError"
import { Array, Effect, Record } from "effect"
import { argument, create, database, json, provideDatabase, provideWritable, yes } from "./Arguments.js"
import { backup, copy, epochs, restore } from "./BackupCommands.js"
import { descriptionOf, optionsOf, subcommandOf } from "./CommandOptions.js"
import * as Consumers from "./Consumers.js"
import * as Demo from "./Demo.js"
import { helpConsole, overview, page } from "./Help.js"
import { diff, history, usage } from "./HistoryCommands.js"
import * as Import from "./Import.js"
import * as Init from "./Init.js"
import { Failed, Output } from "./Output.js"
import { activity, relay, tenant } from "./ReadCommands.js"
import * as Render from "./Render.js"
import * as Run from "./Run.js"
import { secretsErase, secretsRotate } from "./SecretsCommands.js"
import * as SentWith from "./SentWith.js"
import * as Verify from "./Verify.js"

const commandOf = (tag: CommandTag) =>
  Command.make(
    subcommandOf(tag),
    { payload: optionsOf(tag), sentWith: SentWith.options, create, json, database },
    ({ json, payload, sentWith }) =>
      Effect.gen(function*() {
        const request = yield* decodeCommand({ ...payload, _tag: tag })
        const [result] = yield* (yield* Commands).submit([request]).pipe(SentWith.sentWith(sentWith))
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
  file: argument("FILE").pipe(
    Args.withDescription("A file of commands, a JSON object a line; standard input if it is - or left away."),
    Args.withDefault("-")
  ),
  metadata: SentWith.metadata,
  create,
  database
}, ({ file, metadata }) => SentWith.sentWith({ metadata })(Run.run(file))).pipe(
  Command.withDescription(
    "Executes commands from JSON lines, in order, such as {\"_tag\":\"DeactivateRelay\",\"id\":\"a\"}. " +
      "Each is answered by a JSON line with its number; the exit code is 1 if any failed. A line may also have " +
      "\"idempotencyKey\", \"expectedVersion\" and \"metadata\", such as {\"actor\":\"billing\"}."
  ),
  provideWritable
)

const init = Command.make("init", { json, database }, Init.init).pipe(
  Command.withDescription("Creates the database. One that is there is left as it is.")
)

const consumers = Command.make("consumers", { json, database }, Consumers.list).pipe(
  Command.withDescription(
    "Shows the durable consumers: how far each is, what it has before it, and what is parked. " +
      "See also consumers parked, consumers replay, consumers drop and consumers reset."
  ),
  provideDatabase
)

const consumer = argument("NAME").pipe(
  Args.withDescription("The consumer's name, as caravel consumers shows it. Required.")
)

// The names of these have two words, which `grouped` makes one argument: each is then a command like the others.
const consumersParked = Command.make("consumers parked", { name: consumer, json, database }, Consumers.parked).pipe(
  Command.withDescription(
    "Shows what a consumer has put aside because it failed, or because it waits behind what failed."
  ),
  provideDatabase
)

const consumersReplay = Command.make("consumers replay", { name: consumer, json, database }, Consumers.replay).pipe(
  Command.withDescription(
    "Has the program that runs the consumer handle once more what is parked, oldest first, and waits for that."
  ),
  provideWritable
)

const consumersDrop = Command.make("consumers drop", {
  name: consumer,
  positions: Options.integer("position").pipe(
    Options.withPseudoName("position"),
    Options.repeated,
    Options.withDescription("Only the activity at this position; may be repeated. All, with --yes, if it is left away.")
  ),
  yes,
  json,
  database
}, Consumers.drop).pipe(
  Command.withDescription("Gives up what a consumer has parked: it will not be handled."),
  provideWritable
)

const consumersReset = Command.make("consumers reset", {
  name: consumer,
  to: Options.integer("to").pipe(
    Options.withPseudoName("position"),
    Options.withDescription("The position to go on after; 0 is the beginning. Required.")
  ),
  yes,
  json,
  database
}, Consumers.reset).pipe(
  Command.withDescription(
    "Moves a consumer, back or forth, while it may go on running. What it has parked after the position leaves the parking."
  ),
  provideWritable
)

const verify = Command.make("verify", { json, database }, Verify.verify).pipe(
  Command.withDescription(
    "Folds the journal and compares every row with it, whatever is written meanwhile. The exit code is 1 if any differs."
  ),
  provideDatabase
)

const rebuild = Command.make("rebuild", { yes, json, database }, Verify.rebuild).pipe(
  Command.withDescription(
    "Rewrites the rows that differ from the journal, all in one transaction, for which writers wait. " +
      "It is no event, and nobody is told."
  ),
  provideWritable
)

const demo = Command.make("demo", {}, () => Demo.demo).pipe(
  Command.withDescription(`Runs a scenario into a database of its own, ${Demo.filename}, which it recreates.`)
)

const generated = Record.keys(commands).map(commandOf)

const subcommands = [
  init,
  run,
  activity,
  tenant,
  relay,
  history,
  diff,
  usage,
  verify,
  rebuild,
  backup,
  restore,
  copy,
  epochs,
  Import.command,
  consumers,
  consumersParked,
  consumersReplay,
  consumersDrop,
  consumersReset,
  secretsErase,
  secretsRotate,
  demo,
  ...generated
] as const

const caravel = Command.make("caravel").pipe(Command.withSubcommands(subcommands))

const config = CliConfig.make({ showBuiltIns: false, isCaseSensitive: true })

const pages = new Map(
  subcommands.map((command: Command.Command<any, any, any, any>) =>
    [Array.join(Command.getNames(command), ""), Command.getHelp(command, config)] as const
  )
)

/** The arguments with the two words of `consumers parked` and its like as one. */
const grouped = (args: ReadonlyArray<string>): ReadonlyArray<string> => {
  const at = args.findIndex((arg) => arg === "consumers" || arg === "secrets")
  const name = `${args[at]} ${args[at + 1]}`
  const isFirst = at === 0 || at <= 2 && args[0]?.startsWith("--database")
  return isFirst && pages.has(name) ? [...args.slice(0, at), name, ...args.slice(at + 2)] : args
}

/** The arguments with a `--database` before the subcommand put behind it, and without the `-` of `run -`. */
const databaseLast = (args: ReadonlyArray<string>): ReadonlyArray<string> => {
  const [first = "", second = "", third] = args
  // The parser takes - for an option; it is the default.
  if (first === "run") return args.filter((arg) => arg !== "-")
  if (first === "--database" && third !== undefined) return [third, first, second, ...args.slice(3)]
  return first.startsWith("--database=") && second !== "" ? [second, first, ...args.slice(2)] : args
}

/** The help that the arguments ask for, if they do. */
const helpFor = ([name, ...rest]: ReadonlyArray<string>, output: typeof Output.Service): ReadonlyArray<string> => {
  if (name === undefined || ["--help", "-h", "help"].includes(name)) return [overview(output.style)]
  const doc = pages.get(name)
  const asked = rest.includes("--help") || rest.includes("-h")
  return asked && doc !== undefined ? page(name, doc, output) : []
}

const execute = Command.run(caravel, { name: "caravel", version: "0.1.0", executable: "caravel" })

/**
 * The program, given `process.argv`. It says what went wrong in a line on standard error and then fails with `Failed`.
 *
 * @since 0.1.0
 * @category program
 */
export const main = (argv: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    const output = yield* Output
    const console = yield* helpConsole(output)
    const args = databaseLast(grouped(argv.slice(2)))
    const help = helpFor(args, output)
    if (help.length > 0) return yield* output.print(help.join("\n"))
    const fail = (message: string) =>
      Effect.zipRight(
        message === "" ? Effect.void : output.note(`${output.errorStyle.red("caravel:")} ${message}`),
        Effect.fail(new Failed({ message }))
      )
    const [name = ""] = args
    if (!name.startsWith("-") && !pages.has(name)) {
      const longer = [...pages.keys()].filter((known) => known.startsWith(`${name} `))
      const help = longer.length > 0 ? `there are ${longer.join(" and ")}` : "see caravel --help"
      return yield* fail(withoutSecrets(`There is no command ${name}; ${help}`))
    }
    return yield* execute(["node", "caravel", ...args]).pipe(
      Effect.withConsole(console),
      Effect.catchAll((error) => {
        // Nobody reads any more; what was done is done.
        if (error._tag === "OutputClosed") return Effect.void
        // What was wrong with the arguments has been printed.
        return fail(ValidationError.isValidationError(error) ? "" : Render.messageOf(error))
      })
    )
  }).pipe(
    Effect.provideService(CliConfig.CliConfig, config)
  )
