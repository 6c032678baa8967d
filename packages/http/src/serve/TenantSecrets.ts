/** The only answer that contains secrets. */
import { type Pubkey, TenantNotFound } from "@caravel/domain"
import { resources } from "@caravel/domain/adapter"
import * as HttpApp from "@effect/platform/HttpApp"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { Effect, Option, Redacted } from "effect"
import { Identity } from "../api/Identity.js"
import { Forbidden } from "../api/RequestError.js"
import * as Own from "./Own.js"

const { secret } = resources.tenant

/**
 * The secrets of a tenant. Fails with `Forbidden` unless the credential has the grant. The read is logged before it is
 * answered.
 *
 * @since 0.1.0
 * @category execution
 */
export const secretsOf = Effect.fnUntraced(function*(pubkey: Pubkey) {
  const { actor, grants, role } = yield* Identity
  if (!grants.includes("secrets")) return yield* new Forbidden({ role, what: "the grant secrets" })
  const found = yield* Effect.flatMap(Own.query, (query) => query.tenant(pubkey))
  if (Option.isNone(found)) return yield* new TenantNotFound({ pubkey })
  const value = found.value[secret]
  yield* Effect.annotateLogs(Effect.logInfo("The secrets of a tenant were read"), { actor, tenant: pubkey })
  yield* HttpApp.appendPreResponseHandler((_, response) =>
    Effect.succeed(HttpServerResponse.setHeader(response, "cache-control", "no-store"))
  )
  return { [secret]: value === null ? null : Redacted.value(value) }
})
