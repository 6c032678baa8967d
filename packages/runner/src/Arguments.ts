/** What the subcommands have in common: where the database is, what is printed, and how arguments are read. */
import { Sqlite } from "@caravel/sql"
import * as Args from "@effect/cli/Args"
import type * as Command from "@effect/cli/Command"
import { provide } from "@effect/cli/Command"
import * as HelpDoc from "@effect/cli/HelpDoc"
import * as Options from "@effect/cli/Options"
import { Config, Effect, Either } from "effect"
import { readPubkey } from "./CommandOptions.js"

/**
 * The database's file.
 *
 * @since 0.1.0
 * @category options
 */
export const database: Options.Options<string> = Options.text("database").pipe(
  Options.withPseudoName("file"),
  Options.withDescription(
    "The database, an SQLite file; made if there is none. Also CARAVEL_DATABASE. Default: ./data/caravel.db."
  ),
  Options.withFallbackConfig(Config.nonEmptyString("CARAVEL_DATABASE")),
  Options.withDefault("./data/caravel.db")
)

/**
 * Whether people get what programs get.
 *
 * @since 0.1.0
 * @category options
 */
export const json: Options.Options<boolean> = Options.boolean("json").pipe(
  Options.withDescription("Prints JSON lines on a terminal too, as it does elsewhere.")
)

/**
 * Gives a command the services over its database.
 *
 * @since 0.1.0
 * @category combinators
 */
export const provideDatabase = <Name extends string, R, E, A extends { readonly database: string }>(
  command: Command.Command<Name, R, E, A>
) => provide(command, ({ database }) => Sqlite.layer({ filename: database }))

/**
 * An argument that is not an option misspelt.
 *
 * @since 0.1.0
 * @category arguments
 */
export const argument = (name: string): Args.Args<string> =>
  Args.text({ name }).pipe(
    Args.mapEffect((text) =>
      text.startsWith("--") ? Effect.fail(HelpDoc.p(`There is no option ${text}; see --help`)) : Effect.succeed(text)
    )
  )

/**
 * An argument that takes a pubkey as hex or as `npub1…`.
 *
 * @since 0.1.0
 * @category arguments
 */
export const pubkeyArgument = (name: string): Args.Args<string> =>
  argument(name).pipe(
    Args.mapEffect((text) => Either.mapLeft(readPubkey(text), (message) => HelpDoc.p(message)))
  )
