/** `caravel secrets`: erases a wallet URL so that its bytes are gone, and encrypts all wallet URLs with another key. */
import { History, Journal, Pubkey, type Rotation, Secrets, TenantNotFound } from "@caravel/domain"
import { resources } from "@caravel/domain/adapter"
import { Effect, Option, Schema } from "effect"
import { secretKeys } from "../cli/Arguments.js"
import { type SentWith, sentWith } from "../cli/SentWith.js"
import { Failed, Output } from "../terminal/Output.js"
import * as Render from "../terminal/Render.js"

const number = (count: number) => count.toLocaleString("en")

const secretsOf = (count: number) => `${number(count)} secret${count === 1 ? "" : "s"}`

/** Erases a tenant's wallet URL with `--yes`. Otherwise prints what would be done. */
export const erase = Effect.fn("Secrets.erase")(
  function*({ json, pubkey, sentWith: circumstances, yes }: {
    readonly pubkey: string
    readonly sentWith: SentWith
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
    const activity = yield* secrets.eraseTenantSecrets({ pubkey }).pipe(sentWith(circumstances))
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
export const rotate = Effect.fn("Secrets.rotate")(function*({ json }: { readonly json: boolean }) {
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
