/** Tenants and relays with sensible values. */
import { Relay, Tenant } from "@caravel/domain"
import { NwcUrlInput } from "@caravel/domain/adapter"
import { Schema } from "effect"
import { defaultIds, newFields, start } from "./internal/defaults.js"

const TenantFields = Schema.Struct({ ...Tenant.fields, nwcUrl: Schema.NullOr(NwcUrlInput) })
const RelayFields = Schema.Struct(Relay.fields)

/**
 * A whole tenant. What you omit has the value that it has in a new tenant; the pubkey is `pubkey("alice")`.
 *
 * @example
 * ```ts
 * import { pubkey, tenant } from "@caravel/testing"
 *
 * const late = tenant({ pubkey: pubkey("bob"), pastDueAt: "2026-01-31T00:00:00.000Z" })
 * assert.strictEqual(late.stripeCustomerId, null)
 * ```
 *
 * @since 0.1.0
 * @category fixtures
 */
export const tenant = (fields: Partial<typeof TenantFields.Encoded> = {}): Tenant => {
  const pubkey = fields.pubkey ?? defaultIds.tenant
  return Tenant.trusted(
    Schema.decodeSync(TenantFields)({ ...newFields.tenant(pubkey), createdAt: start, version: 1, ...fields, pubkey })
  )
}

/**
 * A whole relay. What you omit has the value that it has in a new relay. The id is `main`, the tenant is
 * `pubkey("alice")`, and the subdomain is the id, in lower case and without what no subdomain can have.
 *
 * @example
 * ```ts
 * import { relay } from "@caravel/testing"
 *
 * const paused = relay({ id: "chat", status: "inactive" })
 * assert.strictEqual(paused.subdomain, "chat")
 * assert.strictEqual(paused.plan, "free")
 * ```
 *
 * @since 0.1.0
 * @category fixtures
 */
export const relay = (fields: Partial<typeof RelayFields.Encoded> = {}): Relay => {
  const id = fields.id ?? defaultIds.relay
  return Relay.trusted(
    Schema.decodeSync(RelayFields)({
      ...newFields.relay(id),
      tenant: defaultIds.tenant,
      createdAt: start,
      version: 1,
      ...fields,
      id
    })
  )
}
