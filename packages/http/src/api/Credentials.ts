/** The credentials that a host accepts: bearer tokens, of which it knows only hashes, and Nostr keys. */
import { Pubkey } from "@caravel/domain"
import { Label } from "@caravel/domain/adapter"
import { DateTime, Effect, Encoding, Option, Redacted, Schema } from "effect"
import { Grant, Role } from "./Identity.js"

const Hash = Schema.String.pipe(Schema.pattern(/^[0-9a-f]{64}$/)).annotations({
  message: () => "Expected a SHA-256 hash of 64 lower-case hex characters, as caravel token prints it"
})

const grants = Schema.optionalWith(Schema.Array(Grant), { default: () => [] })

/**
 * A bearer token. It has 256 random bits, so nobody can guess it from its hash: a hash that is slow to compute would
 * protect only what a person has chosen, and would make each request slow.
 *
 * @since 0.1.0
 * @category models
 */
export const Token = Schema.Struct({
  /** Names the credential in the metadata of events and in the log. */
  name: Label,
  role: Role,
  /** The SHA-256 hash of the token, in hex. */
  hash: Hash,
  /** The tenant of a token with the role `tenant`. */
  tenant: Schema.optionalWith(Pubkey, { exact: true }),
  /** From when on the token is refused. Absent: never. */
  expiresAt: Schema.optionalWith(Schema.DateTimeUtc, { exact: true }),
  grants
}).pipe(
  Schema.filter(({ role, tenant }) =>
    (role === "tenant") === (tenant !== undefined) || "The role tenant, and no other, has a tenant"
  )
)

/**
 * @since 0.1.0
 * @category models
 */
export type Token = typeof Token.Type

const PublicUrl = Schema.String.pipe(
  Schema.filter((text) =>
    /^https?:\/\/[^/?#\s]+(\/[^?#\s]*)?$/.test(text) && URL.canParse(text) ||
    "Expected the absolute URL of the host, without a query"
  )
)

/**
 * Who may sign requests (NIP-98).
 *
 * @since 0.1.0
 * @category models
 */
export const Nostr = Schema.Struct({
  /**
   * The URL by which clients reach the host. The URL that a request is signed for must begin with it, as what a proxy
   * forwards may be chosen by a client.
   */
  url: PublicUrl,
  /** Whether every other key is a tenant, which may register itself and use what it owns. */
  tenants: Schema.optionalWith(Schema.Boolean, { default: () => false }),
  /** The keys of administrators. */
  admins: Schema.optionalWith(Schema.Array(Schema.Struct({ pubkey: Pubkey, grants })), { default: () => [] })
})

const namesTwice = (names: ReadonlyArray<string>) => names.find((name, index) => names.indexOf(name) !== index)

/**
 * The credentials of a host, as `caravel serve --credentials` reads them. They contain no secret.
 *
 * @since 0.1.0
 * @category models
 */
export const Credentials = Schema.Struct({
  tokens: Schema.optionalWith(Schema.Array(Token), { default: () => [] }),
  nostr: Schema.optionalWith(Nostr, { exact: true })
}).pipe(
  Schema.filter(({ tokens }) => {
    const twice = namesTwice(tokens.map(({ name }) => name))
    return twice === undefined || `Two tokens are called ${JSON.stringify(twice)}`
  })
)

/**
 * @since 0.1.0
 * @category models
 */
export type Credentials = typeof Credentials.Type

const bytes = new TextEncoder()

/**
 * The SHA-256 hash of a text in UTF-8, in hex.
 *
 * @since 0.1.0
 * @category hashes
 */
export const hashOf = (text: string): Effect.Effect<string> =>
  Effect.map(
    Effect.promise(() => globalThis.crypto.subtle.digest("SHA-256", bytes.encode(text))),
    (digest) => Encoding.encodeHex(new Uint8Array(digest))
  )

/**
 * Makes a token of 256 random bits. Give it to its user, and keep only its hash.
 *
 * @since 0.1.0
 * @category hashes
 */
export const makeToken: Effect.Effect<{ readonly token: Redacted.Redacted; readonly hash: string }> = Effect.suspend(
  () => {
    const random = globalThis.crypto.getRandomValues(new Uint8Array(32))
    const token = `caravel_${Encoding.encodeBase64Url(random)}`
    return Effect.map(hashOf(token), (hash) => ({ token: Redacted.make(token), hash }))
  }
)

/** Compares hashes of the same length in a time that does not depend on where they differ. */
const equals = (one: string, other: string) => {
  let difference = one.length ^ other.length
  for (let i = 0; i < one.length; i++) difference |= one.charCodeAt(i) ^ other.charCodeAt(i)
  return difference === 0
}

/**
 * The credential of a token that has not expired. Each hash is compared, in constant time.
 *
 * @since 0.1.0
 * @category hashes
 */
export const tokenOf = (
  { tokens }: Credentials,
  hash: string,
  now: DateTime.Utc
): Option.Option<Token> =>
  Option.filter(
    Option.fromNullable(tokens.filter((token) => equals(token.hash, hash))[0]),
    ({ expiresAt }) => expiresAt === undefined || DateTime.lessThan(now, expiresAt)
  )
