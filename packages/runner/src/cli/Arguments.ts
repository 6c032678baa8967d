/** Options and arguments that subcommands share: the database, the output format, and how arguments are read. */
import type { StorageError } from "@caravel/domain"
import { Postgres, Sqlite } from "@caravel/sql"
import * as Args from "@effect/cli/Args"
import * as HelpDoc from "@effect/cli/HelpDoc"
import * as Options from "@effect/cli/Options"
import * as ValidationError from "@effect/cli/ValidationError"
import { Config, Effect, Either, Layer, Option, Redacted } from "effect"
import { Failed } from "../terminal/Output.js"
import * as DatabaseName from "./DatabaseName.js"

/**
 * An environment variable. An empty one counts as unset.
 *
 * @since 0.1.0
 * @category options
 */
export const variable = (name: string): Config.Config<string> =>
  Config.string(name).pipe(Config.map((text) => text.trim()), Config.withDefault(""))

/**
 * The error for values that do not fit together.
 *
 * @since 0.1.0
 * @category options
 */
export const refused = (why: string): ValidationError.ValidationError => ValidationError.invalidValue(HelpDoc.p(why))

const named = (where: string, text: string) =>
  Either.mapLeft(DatabaseName.parse(text), (why) => refused(`${where} ${why}`))

/**
 * The database where none is named.
 *
 * @since 0.1.0
 * @category options
 */
export const defaultDatabase: DatabaseName.DatabaseName = { filename: "./data/caravel.db" }

/**
 * The value of `--schema`, if it is there.
 *
 * @since 0.1.0
 * @category options
 */
export const givenSchema: Options.Options<Option.Option<string>> = Options.text("schema").pipe(
  Options.withPseudoName("name"),
  Options.withDescription(
    "The schema of the tables on PostgreSQL. Also CARAVEL_SCHEMA. Default: the first of the role's search_path."
  ),
  Options.optional
)

const schemaOr = (given: Option.Option<string>) =>
  Option.isSome(given)
    ? Effect.succeed(given)
    : Effect.map(Effect.orDie(variable("CARAVEL_SCHEMA")), Option.liftPredicate((text) => text !== ""))

/**
 * The schema of the tables on PostgreSQL.
 *
 * @since 0.1.0
 * @category options
 */
export const schema: Options.Options<Option.Option<string>> = Options.mapEffect(givenSchema, schemaOr)

/**
 * The value of `--database`, if it is there.
 *
 * @since 0.1.0
 * @category options
 */
export const givenDatabase: Options.Options<Option.Option<Redacted.Redacted>> = Options.redacted("database").pipe(
  Options.withPseudoName("file"),
  Options.withDescription(
    "The database: an SQLite file (PATH or file:PATH?mode=ro|rw|rwc), or postgres://user@host:5432/name. Also " +
      "CARAVEL_DATABASE, which keeps a password out of the process list. Default: ./data/caravel.db."
  ),
  Options.optional
)

/**
 * The database of `--database` and `--schema`, or of the environment.
 *
 * @since 0.1.0
 * @category options
 */
export const databaseOf = (
  given: Option.Option<Redacted.Redacted>,
  schema: Option.Option<string>
): Effect.Effect<DatabaseName.DatabaseName, ValidationError.ValidationError> =>
  Effect.gen(function*() {
    const text = Option.isSome(given) ? Redacted.value(given.value) : yield* Effect.orDie(variable("CARAVEL_DATABASE"))
    const name = Option.isNone(given) && text === ""
      ? defaultDatabase
      : yield* named(Option.isSome(given) ? "--database" : "CARAVEL_DATABASE", text)
    if ("filename" in name && Option.isSome(schema)) {
      return yield* Effect.fail(refused("--schema is for PostgreSQL; the database is a file"))
    }
    return DatabaseName.inSchema(name, yield* schemaOr(schema))
  })

/**
 * The database: a file, or a URL, which may contain a password, with its schema. Where the environment names a host
 * instead, the default file would be another database than the user works with.
 *
 * @since 0.1.0
 * @category options
 */
export const database: Options.Options<DatabaseName.DatabaseName> = Options.all([givenDatabase, givenSchema]).pipe(
  Options.mapEffect(([given, schema]) =>
    Effect.gen(function*() {
      const server = yield* Effect.orDie(variable("CARAVEL_SERVER"))
      const database = yield* Effect.orDie(variable("CARAVEL_DATABASE"))
      return server !== "" && database === "" && Option.isNone(given)
        ? yield* Effect.fail(
          refused("CARAVEL_SERVER names a host, but this command needs the database: give --database")
        )
        : yield* databaseOf(given, schema)
    })
  )
)

/**
 * Whether a command that writes may create the database.
 *
 * @since 0.1.0
 * @category options
 */
export const create: Options.Options<boolean> = Options.boolean("create").pipe(
  Options.withDescription("Creates the database if there is none, as caravel init does.")
)

/**
 * Whether to print JSON lines on a terminal too.
 *
 * @since 0.1.0
 * @category options
 */
export const json: Options.Options<boolean> = Options.boolean("json").pipe(
  Options.withDescription("Prints JSON lines even on a terminal.")
)

/**
 * Whether to do what cannot be undone.
 *
 * @since 0.1.0
 * @category options
 */
export const yes: Options.Options<boolean> = Options.boolean("yes").pipe(
  Options.withDescription("Carries out the change. Without it, the command only prints what it would do.")
)

/**
 * The keys that secrets are encrypted with. They come only from the environment, as every user of the machine can see
 * arguments.
 *
 * @since 0.1.0
 * @category options
 */
export const secretKeys: Effect.Effect<ReadonlyArray<Redacted.Redacted>> = Effect.map(
  Effect.orDie(variable("CARAVEL_SECRET_KEYS")),
  (keys) => keys === "" ? [] : keys.split(",").map((key) => Redacted.make(key.trim()))
)

/**
 * The options to open a database with.
 *
 * @since 0.1.0
 * @category options
 */
export const optionsOf = (database: DatabaseName.DatabaseName): Sqlite.Options | Postgres.Options =>
  "url" in database ? database : { filename: database.filename }

/**
 * The services of a database.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerOf = (
  database: DatabaseName.DatabaseName,
  settings: { readonly create: boolean; readonly migrate: boolean }
): Layer.Layer<Sqlite.Services, StorageError> =>
  Layer.unwrapEffect(Effect.map(secretKeys, (secretKeys) => {
    const options = { ...optionsOf(database), ...settings, secretKeys }
    return "url" in options ? Postgres.layer(options) : Sqlite.layer(options)
  }))

type OnDatabase = { readonly database: DatabaseName.DatabaseName }

/**
 * Executes a subcommand that writes with the services of its database, which it may create.
 *
 * @since 0.1.0
 * @category combinators
 */
export const onWritable =
  <A, E, R>(execute: (options: A) => Effect.Effect<void, E, R>) => (options: A & OnDatabase & Confirmed) =>
    Effect.provide(execute(options), writableLayerOf(options.database, options))

/**
 * What the user has allowed a subcommand to do.
 *
 * @since 0.1.0
 * @category models
 */
export interface Confirmed {
  /** Whether it may create the database. */
  readonly create?: boolean
  /** Whether it may change anything, if it asks for that. */
  readonly yes?: boolean
}

/**
 * The services of a database to write to, which is created if `create` or its name says so, and not migrated before the
 * user has confirmed. Fails if its name forbids changes.
 *
 * @since 0.1.0
 * @category layers
 */
export const writableLayerOf = (
  database: DatabaseName.DatabaseName,
  { create = false, yes = true }: Confirmed
): Layer.Layer<Sqlite.Services, StorageError | Failed> => {
  const mayCreate = create || "mode" in database && database.mode === "rwc"
  return Layer.unwrapEffect(Effect.as(writable(database), layerOf(database, { create: mayCreate, migrate: yes })))
}

/**
 * Fails if the database's name forbids changes.
 *
 * @since 0.1.0
 * @category options
 */
export const writable = (database: DatabaseName.DatabaseName): Effect.Effect<void, Failed> =>
  isReadOnly(database)
    ? new Failed({ message: `${DatabaseName.shown(database)} cannot be changed: its name has mode=ro` })
    : Effect.void

const isReadOnly = (database: DatabaseName.DatabaseName) => "mode" in database && database.mode === "ro"

/**
 * An argument that names a database.
 *
 * @since 0.1.0
 * @category arguments
 */
export const databaseArgument = (name: string): Args.Args<DatabaseName.DatabaseName> =>
  Args.mapEffect(
    Args.text({ name }),
    (text) => Either.mapLeft(DatabaseName.parse(text), (why) => HelpDoc.p(`${name} ${why}`))
  )

/**
 * An argument that names an SQLite file.
 *
 * @since 0.1.0
 * @category arguments
 */
export const fileArgument = (name: string): Args.Args<string> =>
  databaseArgument(name).pipe(
    Args.mapEffect((database) =>
      "filename" in database
        ? Effect.succeed(database.filename)
        : Effect.fail(HelpDoc.p(`${name} is a URL; give the path of an SQLite file`))
    )
  )
