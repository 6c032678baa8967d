/** Input from people: command lines, of which most have something wrong. */
import { Command } from "@caravel/domain"
import { Sqlite } from "@caravel/sql"
import { Effect, FastCheck as fc } from "effect"
import { join } from "node:path"
import process from "node:process"
import * as Entrance from "./Entrance.js"
import { secret } from "./Payloads.js"
import * as Program from "./Program.js"
import { texts } from "./Values.js"

/** Each subcommand with its options, from the completions for bash. */
const subcommands = Effect.map(
  Program.run(["--completions", "bash"]),
  ({ stdout }) =>
    [...stdout.join("\n").matchAll(/"([a-z -]+)"\) options="([^"]+)"/g)].map(([, name = "", options = ""]) => ({
      words: name.split(" "),
      options: options.split(" ")
    }))
)

/** Those that would end only at Ctrl-C, or work outside of the directory, are tried with their help. */
const withHelp = ["serve", "demo"]

/** Whether a command line may be one that ends only at Ctrl-C, or at the end of standard input. */
const isEndless = (args: ReadonlyArray<string>) =>
  args.includes("run") || args.some((arg) => /^(-\w*f|--follow)/.test(arg))

const known = [
  ...["a", "b", "a".repeat(64), "npub1", "true", "false", "1", "0", "-1", "1h", "2026-11-29", "now", "yesterday"],
  ...["relay", "tenant", "json", "csv", "table", "id", "active", "free", "basic", "admin", "UTC", "Europe/Berlin"],
  ...["cli.db", "none.db", "a directory", "https://127.0.0.1:1", "http://127.0.0.1:1/a", "postgres://127.0.0.1:1/a"],
  `nostr+walletconnect://wallet?secret=${secret}`
]

/** Nothing leads out of the directory, or to another machine. */
const isHarmless = (text: string) => !/[/\\]|:\/|\.\./.test(text)

const value = fc.oneof({ weight: 3, arbitrary: fc.constantFrom(...known) }, {
  weight: 1,
  arbitrary: texts.filter(isHarmless)
})

const open = (directory: string) =>
  Effect.gen(function*() {
    const all = yield* subcommands
    const everyOption = [...new Set(all.flatMap(({ options }) => options))]
    yield* Effect.acquireRelease(
      Effect.sync(() => {
        const before = process.cwd()
        process.chdir(directory)
        return before
      }),
      (before) => Effect.sync(() => process.chdir(before))
    )
    yield* Effect.flatMap(Command, ({ createTenant }) => createTenant({ pubkey: "a".repeat(64) })).pipe(
      Effect.provide(Sqlite.layer({ filename: join(directory, "cli.db"), synchronous: "normal" }))
    )
    const option = (options: ReadonlyArray<string>) =>
      fc.oneof(
        { weight: 6, arbitrary: fc.constantFrom(...options) },
        { weight: 1, arbitrary: fc.constantFrom(...everyOption) },
        { weight: 1, arbitrary: texts.map((text) => `--${text}`) }
      )
    const argumentsOf = (options: ReadonlyArray<string>) =>
      fc.array(
        fc.oneof(
          fc.tuple(option(options), value).map(([option, value]) => [option, value]),
          fc.tuple(option(options), value).map(([option, value]) => [`${option}=${value}`]),
          option(options).map((option) => [option]),
          value.map((value) => [value])
        ),
        { maxLength: 5 }
      ).map((parts) => parts.flat())
    const lines = fc.constantFrom(...all).chain(({ options, words }) =>
      fc.tuple(
        argumentsOf(options),
        fc.boolean(),
        fc.oneof({ weight: 9, arbitrary: fc.constant([]) }, texts.map((word) => [word]))
      )
        .map(([args, help, extra]) => [
          ...extra,
          ...words,
          ...(withHelp.includes(words[0]!) || help && args.length === 0 ? ["--help"] : []),
          ...args
        ])
    )
    return {
      inputs: lines,
      answer: (args: ReadonlyArray<string>): Effect.Effect<Entrance.Answer> =>
        Effect.map(
          // A command line cannot have a NUL.
          Program.run(args.map((arg) => arg.replaceAll("\0", "")), {
            variables: { CARAVEL_DATABASE: "cli.db" },
            isEndless: isEndless(args)
          }),
          ({ ok, wrong }) => wrong !== undefined ? { wrong } : ok ? 1 : 0
        )
    }
  })

/** Command lines, in this process. */
export const commandLine: Entrance.Entrance = Entrance.make({
  name: "command lines",
  counts: { short: 400, long: 20_000 },
  open
})
