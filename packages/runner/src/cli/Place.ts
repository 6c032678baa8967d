/** Where a subcommand works: in a database, or at a host that serves one. */
import type { StorageError } from "@caravel/domain"
import type { Remote } from "@caravel/http"
import * as Options from "@effect/cli/Options"
import type * as ValidationError from "@effect/cli/ValidationError"
import { Effect, Layer, Option, Redacted } from "effect"
import { readFile } from "node:fs/promises"
import { Failed, Output } from "../terminal/Output.js"
import {
  type Confirmed,
  databaseOf,
  givenDatabase,
  givenSchema,
  layerOf,
  refused,
  variable,
  writableLayerOf
} from "./Arguments.js"
import type { DatabaseName } from "./DatabaseName.js"
import { reasonOf } from "./SystemError.js"

/**
 * A host, and the token for it, if it needs one.
 *
 * @since 0.1.0
 * @category models
 */
export interface Host {
  readonly server: string
  readonly token: Redacted.Redacted | undefined
}

/**
 * A database or a host.
 *
 * @since 0.1.0
 * @category models
 */
export type Place = DatabaseName | Host

const givenServer = Options.text("server").pipe(
  Options.withPseudoName("url"),
  Options.withDescription(
    "Works at this host instead of a database, such as https://caravel.example. Also CARAVEL_SERVER."
  ),
  Options.optional
)

const givenTokenFile = Options.text("token-file").pipe(
  Options.withPseudoName("file"),
  Options.withDescription(
    "The file that contains the token for the host. Also CARAVEL_TOKEN_FILE, or CARAVEL_TOKEN with the token itself."
  ),
  Options.optional
)

const invalid = (why: string): Effect.Effect<never, ValidationError.ValidationError> => Effect.fail(refused(why))

/** A password in a URL would be visible in the process list, so the URL is not repeated. */
const urlOf = (where: string, text: string) => {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || !/^https?:$/.test(url.protocol) || url.search + url.hash !== "") {
    return invalid(`${where} is not the URL of a host, such as https://caravel.example`)
  }
  return url.username + url.password === ""
    ? Effect.succeed(url.href)
    : invalid(`${where} contains a password, which a host does not accept; give --token-file`)
}

const tokenOf = Effect.fnUntraced(function*(given: Option.Option<string>) {
  const own = yield* Effect.orDie(variable("CARAVEL_TOKEN"))
  if (Option.isNone(given) && own !== "") return Redacted.make(own)
  const file = Option.isSome(given) ? given.value : yield* Effect.orDie(variable("CARAVEL_TOKEN_FILE"))
  if (Option.isNone(given) && file === "") return undefined
  const text = yield* Effect.tryPromise({
    try: () => readFile(file, "utf8"),
    catch: (error) => refused(`The token in ${file} cannot be read: ${reasonOf(error)}`)
  })
  // The text must fit into a header. It is a secret, so it is not shown.
  return /^[\x21-\x7e]+$/.test(text.trim())
    ? Redacted.make(text.trim())
    : yield* invalid(`${file} does not contain a token: it must have one line, as caravel token prints it`)
})

/**
 * The database or the host. An option takes precedence over the environment.
 *
 * @since 0.1.0
 * @category options
 */
export const place: Options.Options<Place> = Options.all([givenServer, givenTokenFile, givenDatabase, givenSchema])
  .pipe(
    Options.mapEffect(([server, tokenFile, database, schema]) =>
      Effect.gen(function*() {
        if (Option.isSome(server) && Option.isSome(database)) {
          return yield* invalid("--server and --database name two places; give one of them")
        }
        const variables = {
          server: yield* Effect.orDie(variable("CARAVEL_SERVER")),
          database: yield* Effect.orDie(variable("CARAVEL_DATABASE"))
        }
        const isOpen = Option.isNone(server) && Option.isNone(database)
        if (isOpen && variables.server !== "" && variables.database !== "") {
          return yield* invalid("CARAVEL_SERVER and CARAVEL_DATABASE are both set; give --server or --database")
        }
        if (Option.isNone(server) && !(isOpen && variables.server !== "")) {
          return Option.isSome(tokenFile)
            ? yield* invalid("--token-file is for a host; give --server as well")
            : yield* databaseOf(database, schema)
        }
        if (Option.isSome(schema)) return yield* invalid("--schema is for a database; the host has its own")
        return {
          server: yield* Option.match(server, {
            onNone: () => urlOf("CARAVEL_SERVER", variables.server),
            onSome: (url) => urlOf("--server", url)
          }),
          token: yield* tokenOf(tokenFile)
        }
      })
    )
  )

/**
 * Whether a name, as in a URL or in a setting, is this machine's own.
 *
 * @since 0.1.0
 * @category predicates
 */
export const isLoopback = (host: string): boolean => /^(localhost|127\.0\.0\.1|::1|\[::1\])$/.test(host)

/** A token that everyone on the way can read. */
const warn = (place: Place) =>
  "server" in place && place.token !== undefined && place.server.startsWith("http:") &&
    !isLoopback(new URL(place.server).hostname)
    ? Effect.flatMap(Output, ({ note }) => note(`The token is sent to ${place.server} unencrypted; use https`))
    : Effect.void

/** The services that a host has as a database does. */
type Services = Layer.Layer.Success<ReturnType<typeof Remote.layerOperator>>

// Loaded here, as the libraries of HTTP take longer to load than everything else that a subcommand needs.
const layerOfHost = ({ server, token }: Host): Layer.Layer<Services, StorageError> =>
  Layer.unwrapEffect(Effect.map(
    Effect.promise(() => import("@caravel/http")),
    // At a terminal you would rather try again than wait.
    ({ Remote }) => Remote.layerOperator({ url: server, token, retryFor: "2 seconds" })
  ))

/**
 * Executes a subcommand that reads with the services of its database, which must exist and is not migrated, or of its
 * host.
 *
 * @since 0.1.0
 * @category combinators
 */
export const onPlace =
  <A, E, R>(execute: (options: A) => Effect.Effect<void, E, R>) => (options: A & { readonly place: Place }) => {
    const { place } = options
    const layer: Layer.Layer<Services, StorageError> = "server" in place
      ? layerOfHost(place)
      : layerOf(place, { create: false, migrate: false })
    return Effect.zipRight(warn(place), Effect.provide(execute(options), layer))
  }

/**
 * Executes a subcommand that writes with the services of its database, which it may create, or of its host.
 *
 * @since 0.1.0
 * @category combinators
 */
export const onWritable =
  <A, E, R>(execute: (options: A) => Effect.Effect<void, E, R>) =>
  (options: A & Confirmed & { readonly place: Place }) => {
    const { create = false, place } = options
    const layer: Layer.Layer<Services, StorageError | Failed> = !("server" in place)
      ? writableLayerOf(place, options)
      : create
      ? Layer.fail(new Failed({ message: "--create is for a database; the host has its own" }))
      : layerOfHost(place)
    return Effect.zipRight(warn(place), Effect.provide(execute(options), layer))
  }
