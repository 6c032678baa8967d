/**
 * Reads the URL of a database: any URL that `pg` reads. Parameters that only libpq reads are refused by name, because
 * `pg` ignores them silently.
 */
import { StorageError } from "@caravel/domain"
import { Effect, Predicate, Redacted } from "effect"
import type { ConnectionOptions } from "node:tls"
import Pg from "pg"
import type { Config } from "./PostgresClient.js"
import type { TlsOptions } from "./PostgresOptions.js"

/** Parameters of libpq's URLs that `pg` does not read. */
const libpqs: ReadonlyArray<string> = [
  "channel_binding",
  "connect_timeout",
  "dbname",
  "gssdelegation",
  "gssencmode",
  "gsslib",
  "hostaddr",
  "keepalives",
  "keepalives_count",
  "keepalives_idle",
  "keepalives_interval",
  "krbsrvname",
  "load_balance_hosts",
  "passfile",
  "require_auth",
  "requirepeer",
  "requiressl",
  "service",
  "ssl_max_protocol_version",
  "ssl_min_protocol_version",
  "sslcertmode",
  "sslcompression",
  "sslcrl",
  "sslcrldir",
  "sslpassword",
  "sslsni",
  "target_session_attrs",
  "tcp_user_timeout"
]

const files = ["sslcert", "sslkey", "sslrootcert"]

/** The values with which a URL asks for TLS with a verified certificate, as `ssl` does. */
const verifying = ["prefer", "require", "verify-ca", "verify-full", "true", "1"]

const severalHosts = "the URL names several hosts, which only libpq reads: name one, such as that of a proxy"

const noUrl =
  "there is no URL: url is empty or not set; check whether the environment variable that it comes from is set"

const unreadable =
  "the URL cannot be read: it must be like postgres://user:password@host:5432/database, with %XX for each special character in a password"

/** Why a URL's parameters are refused, or undefined. The URL must not contradict the option `ssl`. */
const refusal = (parameters: URLSearchParams, ssl: boolean | TlsOptions | undefined): string | undefined => {
  const unread = libpqs.find((name) => parameters.has(name))
  if (unread !== undefined) return `the URL has ${unread}, which only libpq reads: leave it out`
  if (ssl === undefined) return undefined
  const file = files.find((name) => parameters.has(name))
  if (file !== undefined) return `the URL has ${file}, but ssl is set too: name certificates in one of them`
  for (const name of ["sslmode", "ssl"]) {
    const value = parameters.get(name)
    if (value === null || verifying.includes(value) === (ssl !== false)) continue
    return `the URL has ${name}=${value}, but ssl contradicts it: remove one of them`
  }
  return undefined
}

/** Escapes a URL as `pg` does before it parses one. */
const escaped = (text: string) =>
  / |%[^a-f0-9]|%[a-f0-9][^a-f0-9]/i.test(text) ? encodeURI(text).replace(/%25(\d\d)/g, "%$1") : text

/**
 * Converts a URL to the driver's configuration, with the settings of each session. The URL may hold a password, so
 * errors show only the names of parameters and the TLS mode.
 */
export const read = (
  { schema, ssl, url }: {
    readonly url: Redacted.Redacted
    readonly schema?: string | undefined
    readonly ssl?: boolean | TlsOptions | undefined
  }
): Effect.Effect<Config, StorageError> =>
  Effect.gen(function*() {
    // Despite its type, the value is undefined if an environment variable is not set.
    const text: unknown = Redacted.isRedacted(url) ? Redacted.value(url) : url
    if (typeof text !== "string" || text.trim() === "") return yield* refuse(noUrl)
    if (/^\s*["'`]/.test(text)) {
      return yield* refuse("the URL begins with a quotation mark, which some programs keep from a file: remove it")
    }
    if (schema !== undefined && !/^[a-z_][a-z0-9_]{0,62}$/.test(schema)) {
      return yield* refuse("the schema's name may contain only lower-case letters, digits and _")
    }
    const searchPath = schema === undefined ? [] : [`-c search_path=${schema}`]
    const common = {
      application_name: "caravel",
      ...(ssl !== undefined && { ssl: ssl as boolean | ConnectionOptions })
    }
    if (text.startsWith("/")) {
      const [host, database] = text.split(" ")
      return { ...common, host, database, options: searchPath.join("") }
    }
    if (!/^(postgres(ql)?|socket):/i.test(text)) {
      return yield* refuse("the URL is not one of PostgreSQL's, such as postgres://user@host:5432/database")
    }
    if (/^[a-z]+:\/\/[^/?]*,/i.test(text)) return yield* refuse(severalHosts)
    const [, base = "", query] = /^([^?]*)\??(.*)$/s.exec(escaped(text))!
    const parameters = new URLSearchParams(query)
    const why = refusal(parameters, ssl)
    if (why !== undefined) return yield* refuse(why)
    // Parameters of the URL would take precedence over the option.
    if (ssl !== undefined) { for (const name of ["sslmode", "ssl"]) parameters.delete(name) }
    // The driver takes the others as `verify-full`, and warns that its next version will not, which verifies less.
    if (verifying.includes(parameters.get("sslmode") ?? "") && !parameters.has("uselibpqcompat")) {
      parameters.set("sslmode", "verify-full")
    }
    const settings = [parameters.get("options") ?? "", ...searchPath].join(" ").trim()
    if (settings !== "") parameters.set("options", settings)
    const config = { ...common, connectionString: parameters.size === 0 ? base : `${base}?${parameters}` }
    const { host } = yield* Effect.try(() => new Pg.Client(config)).pipe(
      Effect.catchAll(({ error }) =>
        // A missing certificate file is reported when the file is needed.
        Predicate.hasProperty(error, "syscall")
          ? Effect.succeed({ host: "" })
          : refuse(Predicate.isError(error) && error.name === "Error" ? error.message : unreadable)
      )
    )
    return host.includes(",") ? yield* refuse(severalHosts) : config
  })

const refuse = (why: string) =>
  new StorageError({ reason: "other", operation: "opening the database", cause: new Error(why) })
