/** Layers of `Authentication`: with credentials, and without any. */
import type { Pubkey } from "@caravel/domain"
import * as HttpRouter from "@effect/platform/HttpRouter"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import { DateTime, Effect, Layer, Option } from "effect"
import { Authentication } from "../api/Authentication.js"
import { type Credentials, hashOf, type Token, tokenOf } from "../api/Credentials.js"
import type { Identity } from "../api/Identity.js"
import { nameOf, permissions } from "../api/Permissions.js"
import { Forbidden, Unauthorized } from "../api/RequestError.js"
import * as Nip98 from "./Nip98.js"
import * as RateLimit from "./RateLimit.js"
import { SingleUse } from "./SingleUse.js"

/**
 * The options of authentication.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** The credentials, looked up for each request: what is no longer among them is refused from then on. */
  readonly credentials: Effect.Effect<Credentials>
  /** The maximum number of requests per minute and credential. No limit by default. */
  readonly rateLimit?: number | undefined
}

/** Everyone who can connect is an administrator, without grants. `Loopback.only` stands in front of this. */
const local: typeof Identity.Service = {
  role: "admin",
  actor: undefined,
  tenant: undefined,
  grants: [],
  isValid: Effect.succeed(true)
}

/**
 * Accepts every request as an administrator's: for a host that serves only its own machine.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerLocal: Layer.Layer<Authentication> = Layer.succeed(Authentication, {
  bearer: () => Effect.succeed(local)
})

interface Admitted {
  readonly identity: typeof Identity.Service
  /** The signature, which may write only once. */
  readonly signature?: { readonly id: string; readonly forgetAt: number }
}

const unauthorized = (reason: typeof Unauthorized.Type.reason) => new Unauthorized({ reason })

const bySignature = (
  { nostr }: Credentials,
  pubkey: Pubkey
): Option.Option<Pick<typeof Identity.Service, "role" | "tenant" | "grants">> => {
  const admin = nostr?.admins.find((admin) => admin.pubkey === pubkey)
  if (admin !== undefined) return Option.some({ role: "admin", tenant: undefined, grants: admin.grants })
  return nostr?.tenants === true ? Option.some({ role: "tenant", tenant: pubkey, grants: [] }) : Option.none()
}

const make = ({ credentials, rateLimit }: Options) =>
  Effect.gen(function*() {
    const singleUse = yield* SingleUse
    const limited = rateLimit === undefined ? () => Effect.void : yield* RateLimit.make(rateLimit)

    const tokenNow = (hash: string) =>
      Effect.zipWith(credentials, DateTime.now, (credentials, now) => tokenOf(credentials, hash, now))

    const bearer = Effect.fnUntraced(function*(text: string) {
      const hash = yield* hashOf(text)
      const found = yield* tokenNow(hash)
      if (Option.isNone(found)) return yield* unauthorized("unknown")
      const { grants, name, role, tenant } = found.value
      const isSame = (token: Token) => token.name === name && token.role === role && token.tenant === tenant
      const isValid = Effect.map(tokenNow(hash), Option.exists(isSame))
      return { identity: { role, actor: name, tenant, grants, isValid } }
    })

    const signed = Effect.fnUntraced(function*(text: string, request: HttpServerRequest.HttpServerRequest) {
      const accepted = yield* credentials
      if (accepted.nostr === undefined) return yield* unauthorized("disabled")
      const { pubkey, ...signature } = yield* Nip98.verify(text, request, accepted.nostr.url)
      const found = bySignature(accepted, pubkey)
      if (Option.isNone(found)) return yield* unauthorized("disabled")
      const { role } = found.value
      const isValid = Effect.map(credentials, (now) =>
        Option.exists(bySignature(now, pubkey), (now) => now.role === role))
      return { identity: { ...found.value, actor: pubkey, isValid }, signature }
    })

    const identify = (request: HttpServerRequest.HttpServerRequest) => {
      const [, scheme = "", text = ""] = /^(\S+) +(\S+)$/.exec(request.headers["authorization"] ?? "") ?? []
      if (request.headers["authorization"] === undefined) {
        return unauthorized("missing")
      }
      if (/^bearer$/i.test(scheme)) {
        return bearer(text)
      }
      return /^nostr$/i.test(scheme) ? signed(text, request) : unauthorized("malformed")
    }

    // @effect-diagnostics-next-line returnEffectInGen:off
    return Effect.gen(function*() {
      const request = yield* HttpServerRequest.HttpServerRequest
      const { route } = yield* HttpRouter.RouteContext
      const { identity, signature }: Admitted = yield* identify(request)
      yield* Effect.annotateCurrentSpan({ "enduser.id": identity.actor, "enduser.role": identity.role })
      yield* limited(identity.actor ?? "")
      const name = nameOf(route.method, route.path)
      // Every route has an entry, or this would not compile. Without one, nobody may use it.
      if (name === undefined || !permissions[name].includes(identity.role)) {
        return yield* new Forbidden({ role: identity.role, what: name ?? route.path })
      }
      if (signature !== undefined && request.method !== "GET") {
        const isFirst = yield* singleUse.use(signature.id, signature.forgetAt)
        if (!isFirst) {
          return yield* unauthorized("replayed")
        }
      }
      return identity
    })
  })

/**
 * Accepts the requests of credentials, each for what its role may do. A signature writes only once, among all hosts that
 * share the `SingleUse`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options): Layer.Layer<Authentication, never, SingleUse> =>
  Layer.effect(Authentication, Effect.map(make(options), (authenticate) => ({ bearer: () => authenticate })))
