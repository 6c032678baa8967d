/** `caravel token`: makes a bearer token for a host. */
import * as Options from "@effect/cli/Options"
import { Effect, Option, Redacted } from "effect"
import { json } from "../cli/Arguments.js"
import * as Values from "../cli/Values.js"
import { Failed, Output } from "../terminal/Output.js"
import * as Subcommand from "./Subcommand.js"

const roles = ["admin", "worker", "readOnly", "tenant"] as const

/** Prints a token, which is stored nowhere, and the entry of the credentials file that accepts it. */
const token = Effect.fn("Token.token")(function*({ json, name, role, secrets, tenant }: {
  readonly role: typeof roles[number]
  readonly name: string
  readonly tenant: Option.Option<string>
  readonly secrets: boolean
  readonly json: boolean
}) {
  const output = yield* Output
  if ((role === "tenant") !== Option.isSome(tenant)) {
    return yield* new Failed({ message: "--tenant belongs to --role tenant, which needs it" })
  }
  const { Credentials } = yield* Effect.promise(() => import("@caravel/http"))
  const { hash, token } = yield* Credentials.makeToken
  const credential = {
    name,
    role,
    hash,
    ...(Option.isSome(tenant) ? { tenant: tenant.value } : {}),
    ...(secrets ? { grants: ["secrets"] } : {})
  }
  yield* output.print(
    output.isTerminal && !json
      ? `${
        output.style.bold(Redacted.value(token))
      }\n\nThe token is shown only now. Add to "tokens" in the file of --credentials:\n\n` +
        JSON.stringify(credential)
      : JSON.stringify({ token: Redacted.value(token), credential })
  )
})

/** The subcommands of this family. */
export const subcommands: ReadonlyArray<Subcommand.Subcommand> = [
  Subcommand.make({
    name: "token",
    help:
      "Makes a bearer token for a host. Prints it once, with its entry for the credentials file of caravel serve, which " +
      "contains only a hash.",
    options: {
      role: Values.option("role", Values.oneOf(...roles)).pipe(
        Options.withPseudoName("role"),
        Options.withDescription(
          "What it is for: admin, worker (billing and provisioning), readOnly, or tenant (what one tenant owns). Required."
        )
      ),
      name: Options.text("name").pipe(
        Options.withPseudoName("name"),
        Options.withDescription("Names the credential as the actor of its commands. Required.")
      ),
      tenant: Values.option("tenant", Values.pubkey).pipe(
        Options.withPseudoName("pubkey"),
        Options.optional,
        Options.withDescription("The tenant of the role tenant, as hex or npub1….")
      ),
      secrets: Options.boolean("secrets").pipe(
        Options.withDescription("Also grants reading wallet URLs.")
      ),
      json
    },
    execute: token
  })
]
