import { type Command, type Relay, type Tenant } from "@caravel/domain"
declare const command: typeof Command.Service
declare const relay: Relay
declare const tenant: Tenant
export const a = command.createTenant({ pubkey: "x" })
export const b = command.createRelay({ id: "a", tenant: "x", subdomain: "s" })
export const c = command.failRelaySync(relay, "boom")
export const d = command.setTenantPastDue("x")
export const e = command.updateTenant(tenant)
export const f = command.deactivateRelay(relay)
export const g = command.updateRelay({ id: "a", plan: null })
export const h = command.createRelay(relay)
export const i = command.setRelaySubscriptionItem("a", "b")
