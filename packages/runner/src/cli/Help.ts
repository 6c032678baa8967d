/** The help of `caravel`: an overview, and a page for each subcommand. */
import { commandTable, withoutSecrets } from "@caravel/domain/adapter"
import * as HelpDoc from "@effect/cli/HelpDoc"
import { Array as Arr, Console, Effect, Record as Rec } from "effect"
import { stripVTControlCharacters } from "node:util"
import { wrapped } from "../terminal/Layout.js"
import type { Output, Style } from "../terminal/Output.js"
import { subcommandOf } from "./CommandOptions.js"
import * as SentWith from "./SentWith.js"
import { version } from "./Version.js"

/**
 * The overview of the subcommands.
 *
 * @since 0.1.0
 * @category help
 */
export const overview = (style: Style): string => {
  const width = Math.max(...Rec.keys(commandTable).map((tag) => subcommandOf(tag).length)) + 2
  const row = (name: string, text: string) => `  ${style.bold(name.padEnd(width))}${text}`
  const generated = (resource: "tenant" | "relay") =>
    Rec.keys(commandTable).filter((tag) => commandTable[tag].resource === resource).map((tag) =>
      row(
        subcommandOf(tag),
        style.dim(commandTable[tag].activity === null ? "no activity" : `logs ${commandTable[tag].activity}`)
      )
    )
  return [
    `${style.bold("caravel")} ${version}: tenants, relays and their history`,
    "",
    style.dim("Usage: caravel <command> [options] [argument]"),
    "",
    "Getting started",
    row("init", "creates the database, as --create does in any command that writes"),
    row("migrate", "brings the schema up to date after an upgrade; --dry-run only says whether it is not"),
    row("serve", "serves the database over HTTP: --port N, --credentials FILE"),
    row("token", "makes a token for a host: --role ROLE --name NAME"),
    "",
    "Many commands at once",
    row("run [FILE|-]", "executes commands from JSON lines, and answers each with a JSON line"),
    row("demo", "runs a scenario in its own database"),
    row("import FILE", "imports another database; --dry-run shows what would happen"),
    "",
    "Current state",
    row("activity", "the activity log; --last N, --since 1h, --type, --relay; --follow waits for further activities"),
    row("tenant [PUBKEY]", "tenants, or one; --past-due, --sort"),
    row("relay [ID]", "relays, or one; --status, --plan, --sync, --sort, --watch"),
    "",
    "The past",
    row("history relay ID", "the changes of a relay; --at MOMENT shows it as it was then"),
    row("history tenant PUBKEY", "the changes of a tenant"),
    row("diff FROM TO", "the difference between two moments"),
    row("usage TENANT", "when a tenant's relays were active, and on which plan; --from, --to"),
    "",
    "Checking",
    row("verify", "compares every row with the journal"),
    row("doctor", "examines files, settings, rows, consumers and clocks, and says what to do"),
    row("rebuild", "--yes: rewrites the rows that differ from the journal"),
    "",
    "Copies",
    row("backup FILE", "copies the database, even while it is written, and verifies the copy"),
    row("restore FILE", "restores the database from a backup; --force overwrites an existing one"),
    row("copy FROM TO", "copies to another database, also between SQLite and PostgreSQL"),
    row("epochs", "when the database was restored, and at which position"),
    "",
    "Durable consumers",
    row("consumers", "all consumers, and how far behind each is"),
    row("consumers parked NAME", "the activities that a consumer has parked after failures"),
    row("consumers replay NAME", "asks the running consumer to handle parked activities again"),
    row("consumers drop NAME", "drops parked activities: --position N, or all with --yes"),
    row("consumers reset NAME", "--to N: moves the consumer to another position"),
    "",
    "Secrets",
    row("secrets erase PUBKEY", "--yes: clears a wallet URL and removes its bytes"),
    row("secrets rotate", "encrypts all wallet URLs with the current key"),
    "",
    "Commands on tenants",
    ...generated("tenant"),
    "",
    "Commands on relays",
    ...generated("relay"),
    "",
    "Each command has --help, and --database FILE or postgres://… (also CARAVEL_DATABASE; default ./data/caravel.db).",
    "At a host, --server URL and --token-file FILE instead (also CARAVEL_SERVER, CARAVEL_TOKEN_FILE or CARAVEL_TOKEN).",
    "On PostgreSQL, --schema NAME or CARAVEL_SCHEMA selects the schema of the tables.",
    "CARAVEL_SECRET_KEYS encrypts wallet URLs: keys of openssl rand -base64 32, the current one first.",
    "Tables on a terminal, JSON lines elsewhere or with --json; reads have -o json, table or csv, --tz and --pager.",
    "--completions bash, fish or zsh prints a script to source.",
    "Exit codes: 0 done; 1 refused, not found, rows differ, or another error; 130 after Ctrl-C, 143 after SIGTERM."
  ].join("\n")
}

const plain = (doc: HelpDoc.HelpDoc) => stripVTControlCharacters(HelpDoc.toAnsiText(doc)).trim()

// The library adds these texts to every option. Options are optional unless they say "Required.", so this is omitted.
const boilerplate =
  /^(A user-defined piece of text.*|A true or false value\.|An integer\.|One of the following:.*|This (setting|option) .*)$/

const meaning = (doc: HelpDoc.HelpDoc) =>
  plain(doc).split(/\n\s*/).filter((text) => text !== "" && !boilerplate.test(text)).join(" ")

/** The definitions and paragraphs of a help page, in order. */
const flat = (doc: HelpDoc.HelpDoc): ReadonlyArray<readonly [title: string, text: string] | string> => {
  switch (doc._tag) {
    case "Sequence":
      return [...flat(doc.left), ...flat(doc.right)]
    case "DescriptionList":
      return doc.definitions.map(([title, text]) =>
        [plain(HelpDoc.p(title)).replaceAll(" | ", "|"), meaning(text)] as const
      )
    case "Header":
    case "Empty":
      return []
    case "Paragraph":
    case "Enumeration":
      return [plain(doc)]
  }
}

/**
 * The first sentences about a subcommand and each of its parameters, from its generated page.
 *
 * @since 0.1.0
 * @category help
 */
export const descriptions = (
  doc: HelpDoc.HelpDoc
): { readonly text: string; readonly parameters: ReadonlyMap<string, string> } => {
  const parts = flat(doc)
  const sentence = (text: string) => text.split(/\.(?= |$)/)[0] ?? ""
  return {
    text: sentence(parts.find((part) => typeof part === "string") ?? ""),
    parameters: new Map(
      parts.flatMap((part) =>
        typeof part === "string" ? [] : [[/--[a-z-]+/.exec(part[0])?.[0] ?? part[0], sentence(part[1])]]
      )
    )
  }
}

/**
 * The help of a subcommand, from its generated page. A parameter and its description share a line if they fit.
 *
 * @since 0.1.0
 * @category help
 */
export const page = (name: string, doc: HelpDoc.HelpDoc, output: typeof Output.Service): ReadonlyArray<string> => {
  const { columns, style } = output
  const parts = flat(doc)
  const definitions = parts.filter((part) => typeof part !== "string")
  const args = definitions.filter(([title]) => title.startsWith("<")).map(([title, text]) =>
    text.endsWith("Required.") ? title.slice(1, -1) : `[${title.slice(1, -1)}]`
  )
  // caravel activity has a filter with the name of one of these options.
  const sends = definitions.some(([title]) => title.startsWith("--correlation-id"))
  const [own, shared] = Arr.partition(definitions, ([title]) => sends && isSentWith(title))
  const width = 2 + Math.max(0, ...definitions.map(([title]) => title.length)) + 2
  const section = (definitions: ReadonlyArray<readonly [title: string, text: string]>) =>
    definitions.flatMap(([title, text], n) => [
      ...(n === 0 ? [""] : []),
      ...wrapped(text, columns - width).map((line, i) =>
        (i === 0 ? style.bold(`  ${title}`.padEnd(width)) : " ".repeat(width)) + line
      )
    ])
  return [
    ...parts.filter((part) => typeof part === "string").flatMap((text) => wrapped(text, columns)),
    "",
    style.dim(["Usage: caravel", name, ...(definitions.length > args.length ? ["[options]"] : []), ...args].join(" ")),
    ...section(own),
    ...section(shared)
  ]
}

/** Options that every command can be sent with are listed separately. */
const isSentWith = (title: string) => SentWith.names.has(title.split(" ")[0] ?? "")

/**
 * The console of the argument parser: with colours only if they are enabled, and never with a secret.
 *
 * @since 0.1.0
 * @category help
 */
export const helpConsole = (output: typeof Output.Service): Effect.Effect<Console.Console> => {
  const text = (args: ReadonlyArray<unknown>) =>
    withoutSecrets(stripVTControlCharacters(args.map(String).join(" ")).trim())
  return Console.consoleWith((console) =>
    Effect.succeed({
      ...console,
      log: (...args) => Effect.ignore(output.print(text(args))),
      error: (...args) => output.note(`${output.errorStyle.red("caravel:")} ${text(args).replace(/\s*\n\s*/g, "; ")}`)
    })
  )
}
