/** Which role may use which route, and which command. */
import type { CommandTag } from "@caravel/domain"
import * as HttpApi from "@effect/platform/HttpApi"
import type * as HttpApiEndpoint from "@effect/platform/HttpApiEndpoint"
import type * as HttpApiGroup from "@effect/platform/HttpApiGroup"
import { String as Str } from "effect"
import { Api } from "./Api.js"
import type { Role } from "./Identity.js"

type Groups = typeof Api extends HttpApi.HttpApi<any, infer Groups, any, any> ? Groups : never

/** The name of a route that needs a credential. */
type RouteName = HttpApiEndpoint.HttpApiEndpoint.Name<
  HttpApiGroup.HttpApiGroup.Endpoints<Exclude<Groups, { readonly identifier: "host" }>>
>

const anyone: ReadonlyArray<Role> = ["admin", "worker", "readOnly", "tenant"]

/** Those who operate the platform. */
const staff: ReadonlyArray<Role> = ["admin", "worker", "readOnly"]

/** What a tenant decides. */
const owner: ReadonlyArray<Role> = ["admin", "tenant"]

/** What billing and provisioning report. */
const operation: ReadonlyArray<Role> = ["admin", "worker"]

/**
 * The roles that may use each route. A new route does not compile without an entry. Where tenants are among the roles,
 * they get only what is theirs.
 *
 * @since 0.1.0
 * @category permissions
 */
export const permissions: { readonly [Name in RouteName]: ReadonlyArray<Role> } = {
  createTenant: owner,
  // A worker may set only the customer's id: see `operatorFields`.
  updateTenant: anyone.filter((role) => role !== "readOnly"),
  createRelay: owner,
  updateRelay: owner,
  deactivateRelay: owner,
  markRelayDelinquent: operation,
  // Billing activates a delinquent relay once it is paid for, so its tenant must not.
  activateRelay: operation,
  failRelaySync: operation,
  completeRelaySync: operation,
  deleteRelaySubscriptionItem: operation,
  setRelaySubscriptionItem: operation,
  setTenantSubscription: operation,
  clearTenantSubscription: operation,
  setTenantNwcError: operation,
  clearTenantNwcError: operation,
  setTenantPastDue: operation,
  clearTenantPastDue: operation,
  // Each command of the list is checked on its own.
  submit: anyone.filter((role) => role !== "readOnly"),
  tenants: anyone,
  tenant: anyone,
  // Only with the grant.
  secretsOf: anyone,
  relaysOf: anyone,
  relays: anyone,
  relay: anyone,
  activity: anyone,
  activityStream: anyone,
  // Events name operators, and what billing and provisioning did.
  tenantHistory: staff,
  relayHistory: staff,
  diff: staff,
  // How far the journal is, and its timelines: a tenant's feed needs them too.
  journal: anyone,
  positionAt: staff,
  events: staff,
  tenantEvents: staff,
  relayEvents: staff,
  meteredEvents: staff,
  // What a tenant is billed for.
  usage: anyone,
  consumers: staff,
  consumer: staff,
  parked: staff,
  replay: ["admin"],
  reset: ["admin"],
  drop: ["admin"],
  // It reads the whole journal.
  verify: ["admin"],
  metrics: staff
}

/**
 * The fields that name something at the payment provider. Tenants may not set them, and of a tenant's fields a worker may
 * set only these.
 *
 * @since 0.1.0
 * @category permissions
 */
export const operatorFields: ReadonlySet<string> = new Set(["stripeCustomerId"])

/**
 * Whether a role may send a command.
 *
 * @since 0.1.0
 * @category permissions
 */
export const mayExecute = (role: Role, tag: CommandTag): boolean => permissions[Str.uncapitalize(tag)].includes(role)

const names = new Map<string, RouteName>()
HttpApi.reflect(Api, {
  onGroup: () => {},
  onEndpoint: ({ endpoint: { method, name, path } }) => names.set(`${method} ${path}`, name as RouteName)
})

/**
 * The name of the route with this method and path, as in the API, if it needs a credential.
 *
 * @since 0.1.0
 * @category permissions
 */
export const nameOf = (method: string, path: string): RouteName | undefined => names.get(`${method} ${path}`)
