/** The settings of a host, from options, environment variables and a file, which are validated together. */
import { issuesOf } from "@caravel/domain"
import { expected, issuesIn } from "@caravel/domain/adapter"
import * as Options from "@effect/cli/Options"
import {
  Array as Arr,
  Effect,
  Either,
  Option,
  ParseResult,
  Record as Rec,
  Schema,
  SchemaAST,
  String as Str
} from "effect"
import { defaultDatabase, variable } from "../cli/Arguments.js"
import * as DatabaseName from "../cli/DatabaseName.js"
import { textOf } from "../cli/InputFile.js"
import { isLoopback } from "../cli/Place.js"
import { kebab } from "../cli/Values.js"
import { Failed, type Output } from "../terminal/Output.js"
import { report } from "../terminal/Report.js"

const count = Schema.Int.pipe(Schema.positive()).annotations(expected("an integer of at least 1"))

const seconds = Schema.Number.pipe(Schema.positive()).annotations(expected("a number of seconds above 0"))

const Port = Schema.Int.pipe(Schema.between(0, 65_535)).annotations(expected("a port from 0 to 65535"))

const isUrl = (text: string) => URL.canParse(text) && /^https?:/.test(text)

/** A password would be visible, and what comes after the path would be lost. */
const Url = Schema.String.pipe(Schema.filter((text) => {
  if (!isUrl(text)) return "Expected an http or https URL"
  const { password, username } = new URL(text)
  // An empty query, too, would come before what is appended to the URL.
  return username + password === "" && !/[?#]/.test(text) || "Expected a URL without a user, a query or a fragment"
}))

const Origin = Schema.String.pipe(
  Schema.filter((text) =>
    isUrl(text) && new URL(text).origin === text || "Expected an origin, such as https://admin.example"
  )
)

const Database = Schema.NonEmptyString.pipe(
  Schema.filter((text) => Either.match(DatabaseName.parse(text), { onLeft: (why) => why, onRight: () => undefined }))
)

/** Each setting: its values, what they are called in usages, and what it means. */
const table = {
  database: [
    Database,
    "file",
    "The database: an SQLite file (PATH or file:PATH?mode=rw|rwc), or postgres://user@host:5432/name. In the environment or " +
    "in a file, a password stays out of the process list. Default: ./data/caravel.db."
  ],
  schema: [
    Schema.NonEmptyString,
    "name",
    "The schema of the tables on PostgreSQL. Default: the first of the role's search_path."
  ],
  host: [
    Schema.NonEmptyString,
    "address",
    "The address to listen on. Another than this machine's needs credentials. Default: 127.0.0.1."
  ],
  port: [Port, "port", "The TCP port; 0 is any free port. Default: 8080."],
  credentials: [
    Schema.NonEmptyString,
    "file",
    "The JSON file of the credentials, read again on SIGHUP. Without it, everyone on this machine is an administrator, and " +
    "nobody else is served."
  ],
  origins: [
    Schema.Array(Origin),
    "origins",
    "The origins whose web pages may use the API (CORS), separated by commas. Needs credentials. Default: none."
  ],
  rateLimit: [count, "number", "The maximum number of requests per minute of each credential. Default: no limit."],
  maxBody: [count, "bytes", "The maximum length of a body. Default: 10485760."],
  maxConnections: [count, "number", "The maximum number of connections. Default: 10000."],
  maxLag: [
    count,
    "activities",
    "How far a consumer may be behind while /readyz answers 200. Default: no limit."
  ],
  requestTimeout: [seconds, "seconds", "How long a request may take until its response begins. Default: 60."],
  drainTimeout: [
    seconds,
    "seconds",
    "How long running requests may take after SIGTERM or Ctrl-C. Default: 10."
  ],
  with: [
    Schema.Array(
      Schema.Literal("provisioner").annotations({
        message: () => ({ message: "Expected provisioner", override: true })
      })
    ),
    "workers",
    "Workers to run beside the API: provisioner, which sends each relay to --relay-host. Default: none."
  ],
  relayHost: [Url, "url", "The machines that serve relays, for the provisioner: it sends PUT URL/relays/ID."],
  log: [
    Schema.Literal("json", "logfmt", "pretty").annotations({
      message: () => ({ message: "Expected json, logfmt or pretty", override: true })
    }),
    "format",
    "The format of the log, on standard error: json, logfmt or pretty. Default: pretty on a terminal, otherwise json."
  ],
  otlp: [
    Url,
    "url",
    "The OpenTelemetry collector that traces, metrics and logs are sent to (OTLP over HTTP, JSON), such as " +
    "http://127.0.0.1:4318. Also OTEL_EXPORTER_OTLP_ENDPOINT. Default: none."
  ]
} as const

type Name = keyof typeof table

const names = Rec.keys(table)

const fields = Rec.map(table, ([schema]) => schema) as { readonly [N in Name]: typeof table[N][0] }

/** The settings of a host, each of which is optional. */
const Settings = Schema.partialWith(Schema.Struct(fields), { exact: true })

/** The settings of a host, all of them valid. */
export interface Settings extends Schema.Schema.Type<typeof Settings> {}

const optionOf = (name: Name) => {
  const [, valueName, description] = table[name]
  return Options.text(kebab(name)).pipe(
    Options.withPseudoName(valueName),
    Options.withDescription(description),
    Options.optional
  )
}

/** The options of the settings. They are read as texts, so that all that is wrong is reported together. */
export const options = Rec.fromIterableWith(names, (name) => [name, optionOf(name)]) as {
  readonly [N in Name]: Options.Options<Option.Option<string>>
}

/** The environment variable of a setting, such as `CARAVEL_MAX_BODY`. */
const variableOf = (name: Name) => `CARAVEL_${Str.toUpperCase(Str.camelToSnake(name))}`

/** A text as the value that a file would have. */
const valueOf = (name: Name, text: string): unknown => {
  const ast = SchemaAST.encodedAST(fields[name].ast)
  if (SchemaAST.isNumberKeyword(ast)) return text.trim() === "" || Number.isNaN(Number(text)) ? text : Number(text)
  return SchemaAST.isTupleType(ast) ? text.split(",").map(Str.trim) : text
}

/** A setting's value, and where it was found: `--port`, `CARAVEL_PORT` or `port in caravel.json`. */
interface Found {
  readonly value: unknown
  readonly source: string
}

const inFile = (path: string): Effect.Effect<Record<string, Found>, Failed> =>
  textOf(path, `The settings in ${path}`).pipe(
    Effect.flatMap(Schema.decode(Schema.parseJson(Schema.Record({ key: Schema.String, value: Schema.Unknown })))),
    Effect.mapBoth({
      onSuccess: Rec.map((value, name) => ({ value, source: `${name} in ${path}` })),
      onFailure: (error) =>
        ParseResult.isParseError(error) ? new Failed({ message: `${path}: ${issuesOf(error).join("; ")}` }) : error
    })
  )

/** The variables of a setting; the first that is set decides. */
const variablesOf = (name: Name) => [variableOf(name), ...(name === "otlp" ? ["OTEL_EXPORTER_OTLP_ENDPOINT"] : [])]

/** Kubernetes sets CARAVEL_PORT to the address of a service that is called caravel. */
const isOfKubernetes = (name: Name, text: string) => name === "port" && text.startsWith("tcp://")

const inEnvironment = Effect.map(
  Effect.forEach(
    names.flatMap((name) => variablesOf(name).map((source) => [name, source] as const)),
    ([name, source]) => Effect.map(Effect.orDie(variable(source)), (text) => [name, text, source] as const)
  ),
  (all) => {
    const found: Record<string, Found> = {}
    for (const [name, text, source] of all) {
      if (text !== "" && !isOfKubernetes(name, text)) found[name] ??= { value: valueOf(name, text), source }
    }
    return found
  }
)

const decode = Schema.decodeUnknownEither(Settings, { errors: "all" })

/**
 * Settings that do not fit together. A schema in the environment may be for other commands, and the machines of relays in
 * a file may be for a provisioner that runs elsewhere.
 */
const conflicts = (settings: Settings, sources: Read["sources"]) => {
  const { credentials, host = "127.0.0.1", origins, rateLimit, relayHost, schema } = settings
  const open = credentials === undefined
  const provisions = settings.with?.includes("provisioner") === true
  return [
    ...(open && !isLoopback(host)
      ? [`Without credentials only this machine is served: give --credentials to listen on ${host}`]
      : []),
    ...(open && origins !== undefined ? ["Web pages of other origins need credentials: give --credentials"] : []),
    ...(open && rateLimit !== undefined ? ["The rate is limited for each credential: give --credentials"] : []),
    ...(provisions && relayHost === undefined
      ? ["The provisioner needs the machines that serve relays: give --relay-host"]
      : []),
    ...(!provisions && sources["relayHost"] === "--relay-host"
      ? ["Only the provisioner uses --relay-host: give --with provisioner, or leave it out"]
      : []),
    ...(schema !== undefined && sources["schema"] !== variableOf("schema") && "filename" in databaseOf(settings)
      ? ["A schema is for PostgreSQL; the database is a file"]
      : [])
  ]
}

/** The valid settings, each with where it was found. */
export interface Read {
  readonly settings: Settings
  readonly sources: { readonly [name: string]: string }
}

/**
 * The settings from options, then environment variables, then a file: the first one that has a setting decides. Reports
 * everything that is wrong in any of them.
 */
export const read = (
  given: { readonly [N in Name]: Option.Option<string> },
  file: Option.Option<string>
): Effect.Effect<Read, Failed, Output> =>
  Effect.gen(function*() {
    const path = Option.isSome(file) ? file.value : yield* Effect.orDie(variable("CARAVEL_CONFIG"))
    const found: Record<string, Found> = {
      ...(path === "" ? {} : yield* inFile(path)),
      ...(yield* inEnvironment),
      ...Rec.filterMap(given, (text, name) =>
        Option.map(text, (text) => ({ value: valueOf(name, text), source: `--${kebab(name)}` })))
    }
    const values = Rec.map(found, ({ value }) =>
      value)
    const sources = Rec.map(found, ({ source }) => source)
    const decoded = decode(values)
    const unknown = Object.keys(found).filter((name) => !Object.hasOwn(fields, name))
      .map((name) => `${sources[name]}: There is no such setting`)
    const issues = Either.match(decoded, {
      onLeft: (error) => issuesIn(error).map(({ message, path }) => `${sources[path.split(".")[0]!]}: ${message}`),
      onRight: (settings) => conflicts(settings, sources)
    })
    const { credentials } = values
    const unreadable = typeof credentials === "string"
      ? yield* Effect.match(readCredentials(credentials), {
        onFailure: ({ message }) => [message],
        onSuccess: () => []
      })
      : []
    const wrong = Arr.dedupe([...unknown, ...issues, ...unreadable])
    if (Either.isLeft(decoded) || wrong.length > 0) {
      yield* Effect.forEach(wrong, report)
      return yield* new Failed({ message: "" })
    }
    return { settings: decoded.right, sources }
  })

// Loaded here, as every subcommand loads this file.
const readCredentials = (path: string) =>
  Effect.flatMap(Effect.promise(() => import("./CredentialsFile.js")), ({ read }) => read(path))

/** The database of the settings. */
export const databaseOf = ({ database, schema }: Settings): DatabaseName.DatabaseName =>
  database === undefined
    ? defaultDatabase
    // It was parsed when the settings were read.
    : DatabaseName.inSchema(Either.getOrThrow(DatabaseName.parse(database)), Option.fromNullable(schema))

/** The settings that differ from the defaults, one a line, with where each was found. A password is not shown. */
export const shown = ({ settings, sources }: Read): ReadonlyArray<string> =>
  names.filter((name) => settings[name] !== undefined).map((name) => {
    const value = name === "database" ? DatabaseName.shown(databaseOf(settings)) : String(settings[name])
    return `${kebab(name)} = ${value} (${sources[name]})`
  })
