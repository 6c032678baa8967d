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

/** An environment variable. An empty one counts as unset. */
const variable = (name: string) => Config.string(name).pipe(Config.map((text) => text.trim()), Config.withDefault(""))

const named = (where: string, text: string) =>
  Either.mapLeft(DatabaseName.parse(text), (why) => ValidationError.invalidValue(HelpDoc.p(`${where} ${why}`)))

const defaultDatabase: DatabaseName.DatabaseName = { filename: "./data/caravel.db" }

const givenSchema = Options.text("schema").pipe(
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

const givenDatabase = Options.redacted("database").pipe(
  Options.withPseudoName("file"),
  Options.withDescription(
    "The database: an SQLite file (PATH or file:PATH?mode=ro|rw|rwc), or postgres://user@host:5432/name. Also " +
      "CARAVEL_DATABASE, which keeps a password out of the process list. Default: ./data/caravel.db."
  ),
  Options.optional,
  Options.mapEffect(Option.match({
    onSome: (text) => named("--database", Redacted.value(text)),
    onNone: () =>
      Effect.flatMap(
        Effect.orDie(variable("CARAVEL_DATABASE")),
        (text) => text === "" ? Either.right(defaultDatabase) : named("CARAVEL_DATABASE", text)
      )
  }))
)

/**
 * The database: a file, or a URL, which may contain a password, with its schema.
 *
 * @since 0.1.0
 * @category options
 */
export const database: Options.Options<DatabaseName.DatabaseName> = Options.all([givenDatabase, givenSchema]).pipe(
  Options.mapEffect(([name, given]) =>
    "filename" in name && Option.isSome(given)
      ? Effect.fail(ValidationError.invalidValue(HelpDoc.p("--schema is for PostgreSQL; the database is a file")))
      : Effect.map(schemaOr(given), (schema) => DatabaseName.inSchema(name, schema))
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
  settings: { readonly create: boolean }
): Layer.Layer<Sqlite.Services, StorageError> =>
  Layer.unwrapEffect(Effect.map(secretKeys, (secretKeys) => {
    const options = { ...optionsOf(database), ...settings, secretKeys }
    // A database with mode=ro is not changed, so it is not migrated either.
    return "url" in options ? Postgres.layer(options) : Sqlite.layer({ ...options, migrate: !isReadOnly(database) })
  }))

type OnDatabase = { readonly database: DatabaseName.DatabaseName }

/**
 * Executes a subcommand that reads with the services of its database, which must exist.
 *
 * @since 0.1.0
 * @category combinators
 */
export const onDatabase = <A, E, R>(execute: (options: A) => Effect.Effect<void, E, R>) => (options: A & OnDatabase) =>
  Effect.provide(execute(options), layerOf(options.database, { create: false }))

/**
 * Executes a subcommand that writes with the services of its database, which it may create.
 *
 * @since 0.1.0
 * @category combinators
 */
export const onWritable =
  <A, E, R>(execute: (options: A) => Effect.Effect<void, E, R>) =>
  (options: A & OnDatabase & { readonly create?: boolean }) => {
    const { create = false, database } = options
    const mayCreate = create || "mode" in database && database.mode === "rwc"
    return Effect.zipRight(
      writable(database),
      Effect.provide(execute(options), layerOf(database, { create: mayCreate }))
    )
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
