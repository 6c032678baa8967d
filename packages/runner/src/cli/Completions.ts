/** Completion scripts for shells. */
import type { Parameter } from "./Syntax.js"

/**
 * A subcommand to complete. Its name has two words if it belongs to another one.
 *
 * @since 0.1.0
 * @category models
 */
export interface Completable {
  readonly name: string
  readonly description: string
  readonly options: ReadonlyArray<Parameter & { readonly description: string }>
  readonly args: ReadonlyArray<Parameter>
}

/**
 * The script for a shell: bash, fish or zsh.
 *
 * @since 0.1.0
 * @category scripts
 */
export const script = (shell: string, commands: ReadonlyArray<Completable>): string | undefined => {
  switch (shell) {
    case "bash":
      return bash(commands)
    case "fish":
      return fish(commands)
    case "zsh":
      return zsh(commands)
    default:
      return undefined
  }
}

const program = [
  { name: "--help", description: "Shows the commands" },
  { name: "--version", description: "Shows the version" },
  { name: "--completions", description: "Prints a completion script for bash, fish or zsh" }
]

const help = { name: "--help", description: "Shows this command's help", isRequired: false, isRepeated: false }

const optionsOf = ({ options }: Completable): Completable["options"] => [...options, help]

/** The words that a value may be, such as `true|false`. */
const choices = ({ name, value = name }: Parameter): ReadonlyArray<string> =>
  /^[a-z]+(\|[a-z]+)+$/.test(value) ? value.split("|") : []

const isFile = ({ name, value }: Parameter) => value === "file" || ["FILE", "FROM", "TO"].includes(name)

const firstWords = (
  commands: ReadonlyArray<Completable>
) => [...new Set(commands.map(({ name }) => name.split(" ")[0] ?? ""))]

/** The second words of commands that belong to another one. */
const under = (word: string, commands: ReadonlyArray<Completable>) =>
  commands.flatMap(({ description, name }) => {
    const [first, second] = name.split(" ")
    return first === word && second !== undefined ? [{ name: second, description }] : []
  })

const groups = (commands: ReadonlyArray<Completable>) =>
  firstWords(commands).filter((word) => under(word, commands).length > 0)

const describe = (word: string, commands: ReadonlyArray<Completable>): string =>
  commands.find(({ name }) => name === word)?.description ??
    under(word, commands).map(({ description }) => description).join("; ")

const nested = (commands: ReadonlyArray<Completable>) =>
  commands.map(({ name }) => name).filter((name) => name.includes(" "))

const bash = (commands: ReadonlyArray<Completable>): string => {
  const all = commands.flatMap(({ options }) => options).filter(({ value }) => value !== undefined)
  const named = (options: ReadonlyArray<Parameter>) => [...new Set(options.map(({ name }) => name))].join("|")
  const chosen = [...new Set(all.filter((option) => choices(option).length > 0).map(({ name }) => name))]
  const choicesOf = (chosen: string) => [...new Set(all.filter(({ name }) => name === chosen).flatMap(choices))]
  return `_caravel() {
    local IFS=$' \\t\\n' cur="\${COMP_WORDS[COMP_CWORD]}" prev="\${COMP_WORDS[COMP_CWORD-1]}"
    local command="\${COMP_WORDS[1]}" options="" words="" files=""
    COMPREPLY=()
    if [[ $COMP_CWORD -eq 1 ]]; then
        COMPREPLY=( $(compgen -W "${
    [...firstWords(commands), ...program.map(({ name }) => name)].join(" ")
  }" -- "$cur") )
        return
    fi
    case "$command \${COMP_WORDS[2]}" in
        ${nested(commands).map((name) => `"${name}"`).join("|")})
            if [[ $COMP_CWORD -gt 2 ]]; then command="$command \${COMP_WORDS[2]}"; fi ;;
    esac
    case "$command" in
${
    commands.map((command) =>
      `        "${command.name}") options="${optionsOf(command).map(({ name }) => name).join(" ")}"; words="${
        command.args.flatMap(choices).join(" ")
      }"; files="${command.args.some(isFile) ? "yes" : ""}" ;;`
    ).join("\n")
  }
        --completions) words="bash fish zsh" ;;
    esac
    case "$COMP_CWORD $command" in
${
    groups(commands).map((word) =>
      `        "2 ${word}") words="${under(word, commands).map(({ name }) => name).join(" ")}" ;;`
    ).join("\n")
  }
    esac
    case "$prev" in
${chosen.map((name) => `        ${name}) words="${choicesOf(name).join(" ")}"; options="" ;;`).join("\n")}
        ${named(all.filter(isFile))}) words=""; files="yes" ;;
        ${named(all.filter((option) => !isFile(option) && choices(option).length === 0))}) return ;;
    esac
    if [[ "$cur" == -* ]]; then
        COMPREPLY=( $(compgen -W "$options" -- "$cur") )
    elif [[ -n "$files" ]]; then
        compopt -o filenames 2> /dev/null
        IFS=$'\\n'
        COMPREPLY=( $(compgen -f -- "$cur") )
    else
        COMPREPLY=( $(compgen -W "$words" -- "$cur") )
    fi
}
complete -F _caravel caravel`
}

const quoted = (text: string) => `'${text.replaceAll("'", "'\\''")}'`

/** In zsh, brackets and colons would end a description. */
const zshText = (text: string) => text.replaceAll("\\", "\\\\").replace(/[:[\]]/g, "\\$&")

const zshValue = (parameter: Parameter): string => {
  const words = choices(parameter)
  return `:${zshText(parameter.value ?? parameter.name)}:${
    words.length > 0 ? `(${words.join(" ")})` : isFile(parameter) ? "_files" : " "
  }`
}

const zshArguments = (command: Completable): string =>
  [
    ...optionsOf(command).flatMap((option) =>
      [option.name, ...(option.alias === undefined ? [] : [option.alias])].map((name) =>
        quoted(
          `${option.isRepeated ? "*" : ""}${name}[${zshText(option.description)}]${
            option.value === undefined ? "" : zshValue(option)
          }`
        )
      )
    ),
    ...command.args.map((arg, n) => quoted(`${n + 1}${zshValue(arg)}`))
  ].join(" \\\n                ")

const zshWords = (words: ReadonlyArray<{ readonly name: string; readonly description: string }>) =>
  words.map(({ description, name }) => quoted(`${name}:${zshText(description)}`)).join("\n            ")

const zsh = (commands: ReadonlyArray<Completable>): string => {
  const first = firstWords(commands).map((name) => ({ name, description: describe(name, commands) }))
  return `#compdef caravel
_caravel() {
    local command=$words[2]
    local -a found
    if (( CURRENT == 2 )); then
        found=(
            ${zshWords([...first, ...program])}
        )
        _describe -t commands command found
        return
    fi
    case "$words[2] $words[3]" in
        (${nested(commands).map((name) => `"${name}"`).join("|")})
            if (( CURRENT > 3 )); then
                command="$words[2] $words[3]"
                shift words
                (( CURRENT-- ))
            fi ;;
    esac
    shift words
    (( CURRENT-- ))
    if (( CURRENT == 2 )); then
        case "$command" in
${
    groups(commands).map((word) =>
      `            (${word})
            found=(
            ${zshWords(under(word, commands))}
            )
            _describe -t commands subcommand found ;;`
    ).join("\n")
  }
            (--completions) compadd bash fish zsh ;;
        esac
    fi
    case "$command" in
${
    commands.map((command) =>
      `        ("${command.name}")
            _arguments -S \\
                ${zshArguments(command)} ;;`
    ).join("\n")
  }
    esac
}
if [[ "$funcstack[1]" = _caravel ]]; then
    _caravel "$@"
else
    compdef _caravel caravel
fi`
}

const fishText = (text: string) => `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`

const fish = (commands: ReadonlyArray<Completable>): string => {
  const complete = (condition: string, rest: string) => `complete -c caravel -n ${fishText(condition)} ${rest}`
  const word = (condition: string, { description, name }: { readonly name: string; readonly description: string }) =>
    complete(condition, `-f -a ${fishText(name)} -d ${fishText(description)}`)
  const option = (at: string, parameter: Completable["options"][number]) => {
    const words = choices(parameter)
    return complete(
      at,
      [
        ...(parameter.alias === undefined ? [] : [`-s ${parameter.alias.slice(1)}`]),
        `-l ${parameter.name.slice(2)}`,
        ...(words.length > 0 ? [`-x -a ${fishText(words.join(" "))}`] : []),
        ...(words.length === 0 && parameter.value !== undefined ? [isFile(parameter) ? "-r -F" : "-x"] : []),
        `-d ${fishText(parameter.description)}`
      ].join(" ")
    )
  }
  const first = firstWords(commands)
  return [
    `function __caravel_at
    set -l words (commandline -opc)
    set -l name "$words[2]"
    switch "$words[2] $words[3]"
        case ${nested(commands).map(fishText).join(" ")}
            set name "$words[2] $words[3]"
    end
    test "$name" = "$argv[1]"
end
function __caravel_count
    test (count (commandline -opc)) -eq $argv[1]
end
complete -c caravel -f`,
    ...first.map((name) => word("__caravel_count 1", { name, description: describe(name, commands) })),
    ...program.map(({ description, name }) =>
      complete("__caravel_count 1", `-l ${name.slice(2)} -d ${fishText(description)}`)
    ),
    complete("__caravel_at --completions", "-f -a 'bash fish zsh'"),
    ...groups(commands).flatMap((group) =>
      under(group, commands).map((command) => word(`__caravel_at ${group}; and __caravel_count 2`, command))
    ),
    ...commands.flatMap((command) => {
      const at = `__caravel_at ${fishText(command.name)}`
      const words = command.args.flatMap(choices)
      return [
        ...optionsOf(command).map((parameter) => option(at, parameter)),
        ...(words.length > 0 ? [complete(at, `-f -a ${fishText(words.join(" "))}`)] : []),
        ...(command.args.some(isFile) ? [complete(at, "-F")] : [])
      ]
    })
  ].join("\n")
}
