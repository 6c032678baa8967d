/** What `caravel` says about itself. */
import { commandTable } from "@caravel/domain"
import { Console, Effect, Record } from "effect"
import { stripVTControlCharacters } from "node:util"
import { subcommandOf } from "./CommandOptions.js"
import type { Output, Style } from "./Output.js"
import { withoutSecrets } from "./Render.js"

/**
 * The subcommands at a glance.
 *
 * @since 0.1.0
 * @category help
 */
export const overview = (style: Style): string => {
  const width = Math.max(...Record.keys(commandTable).map((tag) => subcommandOf(tag).length)) + 2
  const row = (name: string, text: string) => `  ${style.bold(name.padEnd(width))}${text}`
  const generated = (resource: "tenant" | "relay") =>
    Record.keys(commandTable).filter((tag) => commandTable[tag].resource === resource).map((tag) =>
      row(subcommandOf(tag), style.dim(commandTable[tag].activity === null ? "no activity" : `logs ${commandTable[tag].activity}`))
    )
  return [
    `${style.bold("caravel")} 0.1.0: tenants, relays and what happened to them`,
    "",
    style.dim("Usage: caravel <command> [options] [argument]"),
    "",
    "Many commands at once",
    row("run [FILE|-]", "executes commands from JSON lines, each answered by a JSON line"),
    row("demo", "runs a scenario into a database of its own"),
    "",
    "What there is",
    row("activity", "the activity log; --follow waits for what is to come"),
    row("tenant [PUBKEY]", "tenants, or one"),
    row("relay [ID]", "relays, or one"),
    "",
    "Commands on tenants",
    ...generated("tenant"),
    "",
    "Commands on relays",
    ...generated("relay"),
    "",
    "Each has --help, and --database FILE (also CARAVEL_DATABASE; default ./data/caravel.db).",
    "Tables on a terminal, JSON lines elsewhere or with --json."
  ].join("\n")
}

/**
 * Where the argument parser writes: with colours only where they are wanted, and never a secret.
 *
 * @since 0.1.0
 * @category help
 */
export const helpConsole = (output: typeof Output.Service): Effect.Effect<Console.Console> => {
  const text = (args: ReadonlyArray<unknown>, style: Style) => {
    const coloured = args.map(String).join(" ").trim()
    return withoutSecrets(style.bold("x") === "x" ? stripVTControlCharacters(coloured) : coloured)
  }
  return Console.consoleWith((console) =>
    Effect.succeed({
      ...console,
      log: (...args) => Effect.ignore(output.print(text(args, output.style))),
      error: (...args) => output.note(`${output.errorStyle.red("caravel:")} ${text(args, output.errorStyle)}`)
    })
  )
}
