/** What is looked at when a database is opened: whether it can be reached at all, and whether a session is what was asked for. */
import { StorageError } from "@caravel/domain"
import { Backoff, Waiting } from "@caravel/pubsub"
import { type SqlError } from "@effect/sql/SqlError"
import { Effect, Option } from "effect"
import * as Patience from "../statement/Patience.js"
import type { Config } from "./PostgresClient.js"
import * as PostgresConnection from "./PostgresConnection.js"
import { codeOf, isLost, kindOf } from "./PostgresError.js"

/** What another attempt meets too, by code or message, and what to do about it. */
const hopeless: ReadonlyArray<readonly [code: RegExp, message: RegExp, advice: string]> = [
  [/^ENOTFOUND$/, /./, "there is no such host: see the name in the URL"],
  [/^ERR_TLS_CERT_ALTNAME_INVALID$/, /./, "the certificate is another host's: name the host as the certificate does"],
  [
    /CERT|^UNABLE_TO_|^INVALID_(CA|PURPOSE)$|^HOSTNAME_MISMATCH$/,
    /./,
    "the certificate is not trusted: name the authority that signed it, by ssl: { ca } or sslrootcert="
  ],
  [/^ERR_(SSL|OSSL)_/, /./, "TLS cannot be agreed on: see ssl, the certificates and the server"],
  [/./, /, open '/, "a certificate's file cannot be read: see sslrootcert=, sslcert= and sslkey= in the URL"],
  [/^/, /does not support SSL/, "the server does not speak TLS: enable it there, or leave out ssl and sslmode="],
  [/^/, /password must be a/, "the server asks for a password: put it into the URL, or into PGPASSWORD"],
  [
    /^08P01$/,
    /startup parameter/,
    "a pooler refuses a setting: have it take the parameter, as docs/postgresql.md says of PgBouncer"
  ],
  [/^28P01$/, /./, "see the password in the URL, or in PGPASSWORD"],
  [/^28000$/, /./, "see the role in the URL, and pg_hba.conf at the server"],
  [/^3D000$/, /./, "create the database, or see its name in the URL"]
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
 * Makes sure, on a connection of its own, that the database can be opened. What can never succeed fails at once; a server that
 * is away, or does not answer, may only be starting. Once the database is open, everything is tried again.
 */
export const check = (config: Config, schema: string | undefined): Effect.Effect<void, StorageError> =>
  Effect.gen(function*() {
    const connection = yield* untilReached(PostgresConnection.connect(config, "all"), Patience.make())
    const [[encoding, current, first] = []] = yield* connection.executeValues(session, [])
    if (encoding !== "UTF8") {
      return yield* refuse(
        `the database's encoding is ${encoding}, which cannot keep every text`,
        "create one with ENCODING 'UTF8' TEMPLATE template0"
      )
    }
    // One that is not there yet is no current one.
    if (schema !== undefined && current !== schema && first !== schema) {
      return yield* refuse(
        `the schema ${schema} was asked for, and the session has ${current}`,
        `a pooler may have dropped the setting: ALTER ROLE … SET search_path = ${schema} says it to the server itself`
      )
    }
    for (const [name, value] of settingsOf(config)) {
      // What a session cannot set says nothing here.
      const found = yield* Effect.option(connection.executeValues(setting, [name, value]))
      const [[has, asked] = []] = Option.getOrElse(found, () => [])
      if (name === "search_path" && schema !== undefined || has === asked) continue
      return yield* refuse(
        `${name} = ${asked} was asked for, and the session has ${has}`,
        "a pooler may have dropped the setting: ALTER ROLE … SET says it to the server itself"
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

const refuse = (why: string, advice: string) =>
  new StorageError({ reason: "other", operation, cause: new Error(why), advice })

const session = `SELECT current_setting('server_encoding'), current_schema(),
  trim(both ' "' from split_part(current_setting('search_path'), ',', 1))`

/** The server writes both in the same way. */
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
