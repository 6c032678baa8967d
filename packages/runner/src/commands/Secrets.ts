/** `caravel secrets`: erases a wallet URL so that its bytes are gone, and encrypts all wallet URLs with another key. */
import { History, Journal, Pubkey, type Rotation, Secrets, TenantNotFound } from "@caravel/domain"
import { resources } from "@caravel/domain/adapter"
import * as Args from "@effect/cli/Args"
import { Effect, Option, Schema } from "effect"
import { database, json, onWritable, secretKeys, yes } from "../cli/Arguments.js"
import * as SentWith from "../cli/SentWith.js"
import * as Values from "../cli/Values.js"
import { Failed, Output } from "../terminal/Output.js"
import * as Render from "../terminal/Render.js"
import * as Subcommand from "./Subcommand.js"

const number = (count: number) => count.toLocaleString("en")

const secretsOf = (count: number) => `${number(count)} secret${count === 1 ? "" : "s"}`

/** Erases a tenant's wallet URL with `--yes`. Otherwise prints what would be done. */
const erase = Effect.fn("Secrets.erase")(
  function*({ json, pubkey, sentWith, yes }: {
    readonly pubkey: string
    readonly sentWith: SentWith.SentWith
    readonly yes: boolean
    readonly json: boolean
  }) {
    const output = yield* Output
    if (!yes) {
      const history = yield* History
      const tenant = yield* history.tenant(pubkey, yield* Effect.flatMap(Journal, ({ head }) => head))
      if (Option.isNone(tenant)) return yield* new TenantNotFound({ pubkey: yield* Schema.decode(Pubkey)(pubkey) })
      const message = tenant.value[resources.tenant.secret] === null
        ? "The tenant has no wallet URL; --yes removes what earlier ones may have left in the database's files"
        : "This erases the tenant's wallet URL for good, also from the database's files; --yes does it"
      return yield* new Failed({ message })
    }
    const secrets = yield* Secrets
    const activity = yield* secrets.eraseTenantSecrets({ pubkey }).pipe(SentWith.sentWith(sentWith))
    yield* output.print(
      output.isTerminal && !json
        ? output.style.green(
          "Erased from the database and its files; earlier backups still contain it"
        )
        : JSON.stringify(Render.activityJson(activity))
    )
  }
)

/** Encrypts all secrets with the current key. */
const rotate = Effect.fn("Secrets.rotate")(function*({ json }: { readonly json: boolean }) {
  const output = yield* Output
  if ((yield* secretKeys).length === 0) {
    const message =
      "There is no key to encrypt with: set CARAVEL_SECRET_KEYS to the output of openssl rand -base64 32, and keep it"
    return yield* new Failed({ message })
  }
  const secrets = yield* Secrets
  const show = ({ rotated, total }: Rotation) =>
    output.isErrorTerminal
      ? output.status(output.errorStyle.dim(`${number(rotated)} of ${secretsOf(total)}`))
      : Effect.void
  const rotated = yield* Effect.ensuring(secrets.rotate(show), output.isErrorTerminal ? output.status("") : Effect.void)
  yield* output.print(
    output.isTerminal && !json
      ? output.style.green(
        rotated === 0
          ? "All secrets are already encrypted with the current key"
          : `Encrypted ${secretsOf(rotated)} with the current key; earlier backups hold them as they were`
      )
      : JSON.stringify({ ok: true, rotated })
  )
})

/** The subcommands of this family. */
export const subcommands: ReadonlyArray<Subcommand.Subcommand> = [
  Subcommand.make({
    name: "secrets erase",
    help:
      "Clears a tenant's wallet URL, and removes every byte of it, and of replaced or cleared wallet URLs, from the " +
      "database's files. Logs update_tenant. Earlier backups still contain it.",
    options: {
      pubkey: Values.argument("PUBKEY", Values.pubkey).pipe(
        Args.withDescription("The tenant's public key, as hex or npub1…. Required.")
      ),
      sentWith: SentWith.options,
      yes,
      json,
      database
    },
    execute: onWritable(erase)
  }),
  Subcommand.make({
    name: "secrets rotate",
    help:
      "Encrypts all wallet URLs with the first key of CARAVEL_SECRET_KEYS, also those in clear text, and removes their " +
      "earlier form from the database's files. The previous keys must follow the first one, separated by commas. " +
      "You can stop the command and run it again.",
    options: { json, database },
    execute: onWritable(rotate)
  })
]
