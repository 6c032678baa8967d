/** A customer of the relay hosting service, identified by a Nostr public key. */
import { Redacted, Schema } from "effect"
import { EventId } from "./EventId.js"
import { expected, expectedUnseen, NonEmptyText, Text, Version } from "./Text.js"
import { trusted } from "./Trusted.js"

/**
 * A 32-byte x-only secp256k1 public key as 64 lower-case hex characters (NIP-01).
 *
 * @since 0.1.0
 * @category models
 */
export const Pubkey = Schema.String.pipe(Schema.pattern(/^[0-9a-f]{64}$/), Schema.brand("Pubkey")).annotations({
  identifier: "Pubkey",
  ...expected("a public key of 64 lower-case hex characters")
})

/**
 * @since 0.1.0
 * @category models
 */
export type Pubkey = typeof Pubkey.Type

const description = "a wallet connection URL, nostr+walletconnect://… (NIP-47)"

const nwcUrl = {
  identifier: "NwcUrl",
  description,
  jsonSchema: { type: "string", pattern: "^nostr\\+walletconnect://[^\\s\\0]+$", description, writeOnly: true },
  // The input is treated as a secret even if it is malformed.
  message: () => ({ message: "Expected a URL that begins with nostr+walletconnect://", override: true })
}

const scheme = "nostr+walletconnect://"

const isNwcUrl = (redacted: Redacted.Redacted) => {
  const url = Redacted.value(redacted)
  return typeof url === "string" && url.startsWith(scheme) && url.length > scheme.length &&
    !/[\s\0\p{Cs}]/u.test(url)
}

/**
 * A wallet connection URL (NIP-47). It authorizes payments, so it stays redacted, even in its encoded form.
 *
 * @since 0.1.0
 * @category models
 */
export const NwcUrl = Schema.RedactedFromSelf(Schema.String).pipe(Schema.filter(isNwcUrl)).annotations(nwcUrl)

/**
 * A wallet connection URL as callers pass it: clear text or already redacted. It encodes to clear text.
 *
 * @since 0.1.0
 * @category models
 */
export const NwcUrlInput = Schema.Union(Schema.Redacted(Schema.String), Schema.RedactedFromSelf(Schema.String)).pipe(
  Schema.filter(isNwcUrl)
).annotations(nwcUrl)

/**
 * The reference to a secret that is stored outside the journal: the id of the event that set it.
 *
 * @since 0.1.0
 * @category models
 */
export const SecretId = EventId.pipe(Schema.brand("SecretId"))

/**
 * @since 0.1.0
 * @category models
 */
export type SecretId = typeof SecretId.Type

/**
 * An id that Stripe assigned.
 *
 * @since 0.1.0
 * @category models
 */
export const StripeId = NonEmptyText.annotations({ identifier: "StripeId", ...expected("an id at Stripe") })

const fields = {
  pubkey: Pubkey,
  nwcError: Schema.NullOr(Text).annotations({ description: "why the last wallet payment failed" }),
  stripeCustomerId: Schema.NullOr(StripeId),
  stripeSubscriptionId: Schema.NullOr(StripeId),
  pastDueAt: Schema.NullOr(Schema.DateTimeUtc).annotations({ description: "since when a bill is past due" }),
  createdAt: Schema.DateTimeUtc,
  version: Version
}

/**
 * A tenant as `Query` returns it.
 *
 * @since 0.1.0
 * @category models
 */
export class Tenant extends Schema.Class<Tenant>("@caravel/domain/Tenant")({
  ...fields,
  nwcUrl: Schema.NullOr(NwcUrl)
}) {
  /** Creates a tenant from values that have already been validated. */
  static readonly trusted = (values: Schema.Struct.Type<typeof Tenant.fields>): Tenant => trusted(Tenant, values)
}

/**
 * A tenant as decisions see it and projections store it, with a reference instead of the secret.
 *
 * @since 0.1.0
 * @category models
 */
export const TenantState = Schema.Struct({
  ...fields,
  // An invalid value may be the secret itself, so the error must not show it.
  nwcUrl: Schema.NullOr(SecretId).annotations(expectedUnseen("the reference to a secret, or null"))
})

/**
 * @since 0.1.0
 * @category models
 */
export interface TenantState extends Schema.Schema.Type<typeof TenantState> {}
