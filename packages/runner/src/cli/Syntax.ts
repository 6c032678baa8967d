/** The parameters of a subcommand, and checks of its arguments that report all errors at once, by name. */
import type * as Usage from "@effect/cli/Usage"
import { Array as Arr, Either, Option } from "effect"
import { parseArgs } from "node:util"
import { shortened } from "../terminal/Layout.js"
import { didYouMean } from "./Suggestion.js"

/**
 * An option or a positional argument.
 *
 * @since 0.1.0
 * @category models
 */
export interface Parameter {
  /** A name such as `--follow`, or `FILE`. */
  readonly name: string
  readonly alias?: string
  /** The placeholder of its value. An option without one is on or off. */
  readonly value?: string
  readonly isRequired: boolean
  readonly isRepeated: boolean
}

/**
 * The parameters of a subcommand.
 *
 * @since 0.1.0
 * @category models
 */
export interface Syntax {
  readonly options: ReadonlyArray<Parameter>
  readonly args: ReadonlyArray<Parameter>
}

const parameters = (
  usage: Usage.Usage,
  flags: { readonly isRequired: boolean; readonly isRepeated: boolean }
): ReadonlyArray<Parameter> => {
  switch (usage._tag) {
    case "Empty":
    case "Mixed":
      return []
    case "Named": {
      const value = Option.getOrUndefined(usage.acceptedValues)
      const name = usage.names.find((name) => name.startsWith("--")) ?? usage.names[0] ?? ""
      const alias = usage.names.find((other) => other !== name)
      return [{
        name: name.replace(/^<(.*)>$/, "$1"),
        ...(alias !== undefined && { alias }),
        ...(value !== undefined && { value }),
        ...flags,
        isRequired: flags.isRequired && !(name.startsWith("-") && value === undefined)
      }]
    }
    case "Optional":
      return parameters(usage.usage, { ...flags, isRequired: false })
    case "Repeated":
      return parameters(usage.usage, { isRequired: false, isRepeated: true })
    case "Alternation":
    case "Concat":
      return [...parameters(usage.left, flags), ...parameters(usage.right, flags)]
  }
}

/**
 * The parameters of a subcommand, from its usage.
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromUsage = (usage: Usage.Usage): Syntax => {
  // The first parameter is the subcommand itself.
  const [, ...all] = parameters(usage, { isRequired: true, isRepeated: false })
  const [args, options] = Arr.partition(all, ({ name }) => name.startsWith("-"))
  return { options, args }
}

const list = (words: ReadonlyArray<string>) =>
  words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} and ${words[words.length - 1]}`

const quoted = (text: string) => JSON.stringify(shortened(text, 60))

/**
 * Normalizes arguments for the parser, so that it never prompts: each option's long name followed by its value, then
 * `--` and all positional arguments. Or returns the errors.
 *
 * @since 0.1.0
 * @category conversions
 */
export const read = (
  { args, options }: Syntax,
  input: ReadonlyArray<string>
): Either.Either<ReadonlyArray<string>, string> => {
  const known = new Map(options.map((option) => [option.name.slice(2), option] as const))
  const { tokens } = parseArgs({
    args: [...input],
    options: Object.fromEntries([...known].map(([name, { alias, value }]) => [
      name,
      { type: value === undefined ? "boolean" : "string", ...(alias !== undefined && { short: alias.slice(1) }) }
    ])),
    strict: false,
    allowPositionals: true,
    tokens: true
  })
  const problems: Array<string> = []
  const words: Array<string> = []
  const positionals: Array<string> = []
  const seen = new Set<string>()
  for (const token of tokens) {
    if (token.kind === "positional") positionals.push(token.value)
    if (token.kind !== "option") continue
    const { inlineValue, name, rawName, value } = token
    const option = known.get(name)
    if (option === undefined) {
      problems.push(
        `there is no option ${shortened(rawName, 60)}${didYouMean(rawName, options.map(({ name }) => name))}`
      )
    } else if (option.value === undefined) {
      if (value !== undefined && !/^(true|false)$/i.test(value)) problems.push(`${option.name} takes no value`)
      if (value?.toLowerCase() !== "false") words.push(option.name)
    } else if (value === undefined || inlineValue === false && value.startsWith("--")) {
      problems.push(`${option.name} needs a value: ${option.value}`)
    } else {
      if (seen.has(name) && !option.isRepeated) problems.push(`${option.name} is given twice`)
      words.push(option.name, value)
    }
    seen.add(name)
  }
  // Arguments after a wrong option would be misread, so they are not checked.
  if (problems.length > 0) return Either.left(problems.join("; "))
  const missing = [
    ...options.filter(({ isRequired, name }) => isRequired && !seen.has(name.slice(2))),
    ...args.slice(positionals.length).filter(({ isRequired }) => isRequired)
  ].map(({ name }) => name)
  if (missing.length > 0) problems.push(`${list(missing)} ${missing.length === 1 ? "is" : "are"} missing`)
  const unexpected = positionals.slice(args.length)
  if (unexpected.length > 0) {
    problems.push(`${list(unexpected.map(quoted))} ${unexpected.length === 1 ? "is" : "are"} unexpected`)
  }
  return problems.length === 0 ? Either.right([...words, "--", ...positionals]) : Either.left(problems.join("; "))
}
