/**
 * Requests that are signed with a Nostr key (NIP-98). `nostr-tools` verifies the event's id and signature. Its check of
 * NIP-98 hashes a body that it has parsed and written again, and reads the time of the machine, so that the rest is
 * here.
 */
import { Pubkey } from "@caravel/domain"
import type * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import { Clock, Effect, Encoding, Schema } from "effect"
import { verifyEvent } from "nostr-tools/pure"
import { hashOf } from "../api/Credentials.js"
import { type BodyTooLarge, Unauthorized } from "../api/RequestError.js"
import * as Body from "../serve/Body.js"

const hex = (length: number) => Schema.String.pipe(Schema.pattern(new RegExp(`^[0-9a-f]{${length}}$`)))

const SignedRequest = Schema.parseJson(Schema.Struct({
  id: hex(64),
  pubkey: Pubkey,
  created_at: Schema.NonNegativeInt,
  kind: Schema.Literal(27235),
  tags: Schema.mutable(Schema.Array(Schema.mutable(Schema.Array(Schema.String)))),
  content: Schema.String,
  sig: hex(128)
}))

/** How far the time of a signature may be from the host's, in seconds. */
const freshness = 60

/** How long a used signature is remembered after it has expired, in seconds: clocks of hosts differ. */
const skew = 600

const refuse = (reason: typeof Unauthorized.Type.reason) => new Unauthorized({ reason })

/** The value of a tag that the event has once. */
const tagOf = (tags: ReadonlyArray<ReadonlyArray<string>>, name: string) => {
  const found = tags.filter(([first]) => first === name)
  return found.length === 1 ? found[0]![1] : undefined
}

/**
 * Verifies the event of an `Authorization: Nostr …` header against the request. Fails with `Unauthorized` if the event
 * is malformed, for another request, or not signed within a minute of now.
 *
 * @since 0.1.0
 * @category verification
 */
export const verify = (
  encoded: string,
  request: HttpServerRequest.HttpServerRequest,
  publicUrl: string
): Effect.Effect<
  { readonly pubkey: Pubkey; readonly id: string; readonly forgetAt: number },
  Unauthorized | BodyTooLarge
> =>
  Effect.gen(function*() {
    const event = yield* Effect.flatMap(Encoding.decodeBase64String(encoded), Schema.decode(SignedRequest)).pipe(
      Effect.mapError(() => refuse("malformed"))
    )
    const now = yield* Clock.currentTimeMillis
    if (Math.abs(now / 1000 - event.created_at) > freshness) return yield* refuse("expired")
    const { tags } = event
    if (tagOf(tags, "u") !== publicUrl.replace(/\/$/, "") + request.originalUrl) return yield* refuse("otherUrl")
    if (tagOf(tags, "method")?.toUpperCase() !== request.method) return yield* refuse("otherMethod")
    if (!verifyEvent({ ...event })) return yield* refuse("badSignature")
    const body = request.method === "GET" ? "" : yield* Body.text(request)
    const isHashed = tags.some(([name]) => name === "payload")
    if ((body !== "" || isHashed) && tagOf(tags, "payload") !== (yield* hashOf(body))) {
      return yield* refuse("otherBody")
    }
    return { pubkey: event.pubkey, id: event.id, forgetAt: (event.created_at + freshness + skew) * 1000 }
  })
