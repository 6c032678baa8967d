/** The checks on opening a database: it can be reached, and a session has the requested settings. */
import { StorageError } from "@caravel/domain"
import { Backoff, Waiting } from "@caravel/pubsub"
import { type SqlError } from "@effect/sql/SqlError"
import { Effect, Option } from "effect"
import * as Patience from "../statement/Patience.js"
import type { Config } from "./PostgresClient.js"
import * as PostgresConnection from "./PostgresConnection.js"
import { codeOf, isLost, kindOf } from "./PostgresError.js"

/** Permanent errors by code or message, each with advice. */
const hopeless: ReadonlyArray<readonly [code: RegExp, message: RegExp, advice: string]> = [
  [/^ENOTFOUND$/, /./, "there is no such host: check the name in the URL"],
  [/^ERR_TLS_CERT_ALTNAME_INVALID$/, /./, "the certificate is for another host: use the host name in the certificate"],
  [
    /CERT|^UNABLE_TO_|^INVALID_(CA|PURPOSE)$|^HOSTNAME_MISMATCH$/,
    /./,
    "the certificate is not trusted: name the authority that signed it, with ssl: { ca } or sslrootcert="
  ],
  [/^ERR_(SSL|OSSL)_/, /./, "TLS negotiation failed: check ssl, the certificates and the server"],
  [/./, /, open '/, "a certificate's file cannot be read: check sslrootcert=, sslcert= and sslkey= in the URL"],
  [/^/, /does not support SSL/, "the server does not support TLS: enable it there, or leave out ssl and sslmode="],
  [/^/, /password must be a/, "the server asks for a password: put it into the URL, or into PGPASSWORD"],
  [
    /^08P01$/,
    /startup parameter/,
    "a pooler refuses a setting: make it accept the parameter, as docs/postgresql.md describes for PgBouncer"
  ],
  [/^28P01$/, /./, "check the password in the URL, or in PGPASSWORD"],
  [/^28000$/, /./, "check the role in the URL, and pg_hba.conf on the server"],
  [/^3D000$/, /./, "create the database, or check its name in the URL"]
]

const adviceOf = (cause: unknown): string | undefined => {
  const [code, message] = [codeOf(cause) ?? "", cause instanceof Error ? cause.message : ""]
  return hopeless.find(([codes, messages]) => codes.test(code) && messages.test(message))?.[2]
}

const untilReached = Waiting.retryWhile(
  ({ cause }: SqlError) => isLost(cause) && adviceOf(cause) === undefined,
  Backoff.untilReachable
)

/**
 * Checks, on a connection of its own, that the database can be opened. A permanent error fails at once. A server that
 * is unreachable or does not answer may be starting, so the check is retried. Once the database is open, every
 * connection error is retried.
 */
export const check = (config: Config, schema: string | undefined): Effect.Effect<void, StorageError> =>
  Effect.gen(function*() {
    const connection = yield* untilReached(PostgresConnection.connect(config, "all"), Patience.make())
    const [[encoding, current, first] = []] = yield* connection.executeValues(session, [])
    if (encoding !== "UTF8") {
      return yield* refuse(
        `the database's encoding is ${encoding}, which cannot store every text`,
        "create one with ENCODING 'UTF8' TEMPLATE template0"
      )
    }
    // A schema that does not exist yet is not the current one.
    if (schema !== undefined && current !== schema && first !== schema) {
      return yield* refuse(
        `the schema ${schema} was requested, but the session has ${current}`,
        `a pooler may have dropped the setting: ALTER ROLE … SET search_path = ${schema} sets it on the server`
      )
    }
    for (const [name, value] of settingsOf(config)) {
      // A setting that a session cannot change cannot be compared.
      const found = yield* Effect.option(connection.executeValues(setting, [name, value]))
      const [[has, asked] = []] = Option.getOrElse(found, () => [])
      if (name === "search_path" && schema !== undefined || has === asked) continue
      return yield* refuse(
        `${name} = ${asked} was requested, but the session has ${has}`,
        "a pooler may have dropped the setting: ALTER ROLE … SET sets it on the server"
      )
    }
  }).pipe(
    Effect.scoped,
    Effect.catchTag("SqlError", ({ cause }) =>
      new StorageError({
        reason: kindOf(cause).reason,
        operation,
        cause,
        advice: adviceOf(cause) ?? kindOf(cause).advice
      }))
  )

const operation = "opening the database"

/** The error for settings with which the database cannot be opened. */
export const refuse = (why: string, advice: string) =>
  new StorageError({ reason: "other", operation, cause: new Error(why), advice })

const session = `SELECT current_setting('server_encoding'), current_schema(),
  trim(both ' "' from split_part(current_setting('search_path'), ',', 1))`

/** The server formats both values in the same way. */
const setting = "SELECT current_setting($1), set_config($1, $2, true)"

/** The settings that `options` asks for, as the server reads them from a command line. */
const settingsOf = (
  { connectionString = "", options }: Config
): ReadonlyArray<readonly [name: string, value: string]> => {
  const text = options ?? new URLSearchParams(connectionString.split("?")[1]).get("options") ?? ""
  return [...text.matchAll(/(?:-c\s*|--)([\w.-]+)=((?:\\.|[^\s\\])*)/g)].map((
    [, name = "", value = ""]
  ) => [name.replaceAll("-", "_"), value.replace(/\\(.)/g, "$1")])
}
