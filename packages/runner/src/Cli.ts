/** The `caravel` program: runs the subcommand that its arguments name, and reports errors. */
import * as CliConfig from "@effect/cli/CliConfig"
import * as ValidationError from "@effect/cli/ValidationError"
import { Effect, Either } from "effect"
import { variable } from "./cli/Arguments.js"
import * as Completions from "./cli/Completions.js"
import { descriptions, helpConsole, overview, page } from "./cli/Help.js"
import { didYouMean } from "./cli/Suggestion.js"
import * as Syntax from "./cli/Syntax.js"
import * as Values from "./cli/Values.js"
import { version } from "./cli/Version.js"
import { subcommands } from "./commands/Commands.js"
import { config, type Subcommand } from "./commands/Subcommand.js"
import { shortened } from "./terminal/Layout.js"
import { Failed, inZone, Output, OutputClosed } from "./terminal/Output.js"
import * as Render from "./terminal/Render.js"
import { report } from "./terminal/Report.js"

const byName = new Map(subcommands.map((subcommand) => [subcommand.name, subcommand] as const))

const under = (word: string) => [...byName.keys()].filter((name) => name.startsWith(`${word} `))

const list = (names: ReadonlyArray<string>) => `there are ${names.join(", ").replace(/, ([^,]*)$/, " and $1")}`

/** How many arguments come before the subcommand: those that say where it works. */
const countLeading = (args: ReadonlyArray<string>, from = 0): number => {
  const [, , separator] = /^--(database|server|token-file)(=|$)/.exec(args[from] ?? "") ?? []
  return separator === undefined ? from : countLeading(args, from + (separator === "=" ? 1 : 2))
}

/** Finds the subcommand and its arguments. */
const find = (args: ReadonlyArray<string>): Either.Either<readonly [Subcommand, ReadonlyArray<string>], string> => {
  const leading = countLeading(args)
  const [first = "", second = "", ...rest] = args.slice(leading)
  const before = args.slice(0, leading)
  const longer = byName.get(`${first} ${second}`)
  if (longer !== undefined) return Either.right([longer, [...before, ...rest]])
  const subcommand = byName.get(first)
  const isWord = second !== "" && !second.startsWith("-")
  if (subcommand !== undefined && !(isWord && under(first).length > 0)) {
    return Either.right([subcommand, [...before, ...args.slice(leading + 1)]])
  }
  const words = subcommand === undefined && under(first).length === 0 || !isWord ? first : `${first} ${second}`
  const name = shortened(words, 80)
  if (name.startsWith("-")) return Either.left(`There is no option ${name}; see caravel --help`)
  if (name === "") return Either.left("There is no command; see caravel --help")
  const suggestion = didYouMean(name, [...byName.keys()])
  const known = under(first)
  return Either.left(
    `There is no command ${name}${
      suggestion !== "" ? suggestion : known.length > 0 ? `; ${list(known)}` : "; see caravel --help"
    }`
  )
}

const needsDatabase = ({ options }: Syntax.Syntax) => {
  const names = options.map(({ name }) => name)
  return names.includes("--database") && !names.includes("--server")
}

const asksForHelp = (args: ReadonlyArray<string>) => {
  const end = args.indexOf("--")
  return args.slice(0, end === -1 ? args.length : end).some((arg) => arg === "--help" || arg === "-h")
}

/** The text that answers `--help`, `help`, `--version` or `--completions`; `undefined` for other arguments. */
const answerTo = (args: ReadonlyArray<string>, output: typeof Output.Service): ReadonlyArray<string> | undefined => {
  const [first, ...rest] = args
  if (first === undefined || first === "--help" || first === "-h") return [overview(output.style)]
  if (first === "--version") return [version]
  if (first === "--completions" || first.startsWith("--completions=")) {
    const script = Completions.script(first.split("=")[1] ?? rest[0] ?? "", subcommands.map(completable))
    return script === undefined ? undefined : [script]
  }
  const asked = first === "help"
    ? rest
    : asksForHelp(args)
    ? args.filter((arg) => arg !== "--help" && arg !== "-h")
    : []
  if (first === "help" && rest.length === 0) return [overview(output.style)]
  const [word = ""] = asked
  const found = Either.getOrUndefined(find(asked))?.[0]
  const named = found !== undefined ? [found.name] : under(word)
  return named.length === 0 ? undefined : named.flatMap((name, n) => [
    ...(n === 0 ? [] : [""]),
    ...page(name, byName.get(name)!.help(), output)
  ])
}

const completable = ({ help, name, syntax }: Subcommand): Completions.Completable => {
  const { args, options } = syntax()
  const { parameters, text } = descriptions(help())
  return {
    name,
    description: text,
    options: options.map((option) => ({ ...option, description: parameters.get(option.name) ?? "" })),
    args
  }
}

/** The message of an error, with options and subcommands in place of the packages' fields and methods. */
const explained = (error: Error, { options }: Syntax.Syntax): string => {
  const optionOf = (field: string) => {
    const name = `--${Values.kebab(field)}`
    return options.some((option) => option.name === name) ? name : field
  }
  return Render.messageOf(error, optionOf).replace(
    /\b(with|use) ((?:create|update)(?:Tenant|Relay))\b/g,
    (_, word: string, method: string) => `${word} caravel ${Values.kebab(method)}`
  ).replace("that Journal.epoch returns", "that caravel epochs shows")
}

/**
 * The program, given `process.argv`. It prints an error as one line on standard error and then fails with `Failed`.
 *
 * @since 0.1.0
 * @category program
 */
export const main = (argv: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    const output = yield* Output
    const fail = (message: string) =>
      Effect.zipRight(message === "" ? Effect.void : report(message), Effect.fail(new Failed({ message })))
    const args = argv.slice(2)
    const answer = answerTo(args, output)
    if (answer !== undefined) return yield* output.print(answer.join("\n"))
    if (args[0]?.startsWith("--completions") === true) {
      return yield* fail("--completions needs a value: bash, fish or zsh")
    }
    const found = find(args)
    if (Either.isLeft(found)) return yield* fail(found.left)
    const [{ execute, name, syntax }, rest] = found.right
    if (needsDatabase(syntax()) && rest.some((arg) => /^--server(=|$)/.test(arg))) {
      return yield* fail(`caravel ${name} needs the database itself, not a host: give --database instead of --server`)
    }
    const read = Syntax.read(syntax(), rest)
    if (Either.isLeft(read)) {
      return yield* fail(`${read.left}${read.left.endsWith("?") ? " See" : "; see"} caravel ${name} --help`)
    }
    // A zone of another form, which some systems have, is none to print times in.
    const zone = Either.getOrElse(Values.zone(yield* Effect.orDie(variable("TZ"))), () => output.style.zone)
    return yield* execute(read.right).pipe(
      Effect.provideService(Output, inZone(output, zone)),
      Effect.withConsole(yield* helpConsole(output)),
      Effect.catchAll((error): Effect.Effect<never, Failed | OutputClosed, Output> =>
        error instanceof OutputClosed
          ? Effect.fail(error)
          // The error of invalid values has been printed.
          : fail(ValidationError.isValidationError(error) ? "" : explained(error, syntax()))
      )
    )
  }).pipe(
    // Standard output is closed. Everything that the command has done is kept.
    Effect.catchTag("OutputClosed", () => Effect.void),
    Effect.provideService(CliConfig.CliConfig, config)
  )
