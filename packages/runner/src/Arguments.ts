/** What the subcommands have in common: where the database is, what is printed, and how arguments are read. */
import { Postgres, Sqlite } from "@caravel/sql"
import * as Args from "@effect/cli/Args"
import type * as Command from "@effect/cli/Command"
import { provide } from "@effect/cli/Command"
import * as HelpDoc from "@effect/cli/HelpDoc"
import * as Options from "@effect/cli/Options"
import { Config, Effect, Either, Layer, Redacted } from "effect"
import { readPubkey } from "./CommandOptions.js"
import { Failed } from "./Output.js"

/**
 * The database: a file, or a URL, which may hold a password.
 *
 * @since 0.1.0
 * @category options
 */
export const database: Options.Options<Redacted.Redacted> = Options.redacted("database").pipe(
  Options.withPseudoName("file"),
  Options.withDescription(
    "The database: an SQLite file, made if there is none, or postgres://user@host:5432/name. Also CARAVEL_DATABASE, " +
      "which keeps a password out of the process list. Default: ./data/caravel.db."
  ),
  Options.withFallbackConfig(Config.redacted(Config.nonEmptyString("CARAVEL_DATABASE"))),
  Options.withDefault(Redacted.make("./data/caravel.db"))
)

/** Of whatever database: it says itself if it is none of its own. */
const isUrl = (database: string) => /^[a-z]+:\/\//i.test(database)

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
 * Whether what cannot be undone is done.
 *
 * @since 0.1.0
 * @category options
 */
export const yes: Options.Options<boolean> = Options.boolean("yes").pipe(
  Options.withDescription("Does it; without it, says what would be done.")
)

/**
 * The keys that secrets are encrypted with, from the environment alone: arguments are seen by everybody on the machine.
 *
 * @since 0.1.0
 * @category options
 */
export const secretKeys: Effect.Effect<ReadonlyArray<Redacted.Redacted>, Failed> = Config.array(
  Config.redacted(),
  "CARAVEL_SECRET_KEYS"
).pipe(
  Config.withDefault([]),
  Effect.mapError((error) => new Failed({ message: `CARAVEL_SECRET_KEYS: ${error._op}` }))
)

/**
 * Which database is named.
 *
 * @since 0.1.0
 * @category options
 */
export const optionsOf = (database: Redacted.Redacted): Sqlite.Options | Postgres.Options =>
  isUrl(Redacted.value(database)) ? { url: database } : { filename: Redacted.value(database) }

/**
 * Gives a command the services over its database.
 *
 * @since 0.1.0
 * @category combinators
 */
export const provideDatabase = <Name extends string, R, E, A extends { readonly database: Redacted.Redacted }>(
  command: Command.Command<Name, R, E, A>
) =>
  provide(
    command,
    ({ database }) =>
      Layer.unwrapEffect(Effect.map(secretKeys, (secretKeys) => {
        const options = optionsOf(database)
        return "url" in options
          ? Postgres.layer({ ...options, secretKeys })
          : Sqlite.layer({ ...options, secretKeys })
      }))
  )

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
