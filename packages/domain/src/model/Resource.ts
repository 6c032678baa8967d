/** Tenants and relays as data: what each is called, keyed by, created by, and which of its fields are special. */
import { Schema } from "effect"
import type { ResourceType } from "./Activity.js"
import { Relay, RelayId, RelayState } from "./Relay.js"
import { Pubkey, Tenant, TenantState } from "./Tenant.js"

/**
 * One record per resource type. What differs between them only by a name is told here once, for all that iterates over
 * resources: decisions, verification, imports, and the tables and queries of adapters. What a field holds, such as a boolean
 * or an instant, its schema says.
 *
 * - `key`: the field that identifies a resource.
 * - `owner`: the field that names the tenant to which it belongs.
 * - `collection`: what several of them are called, as in `State` and `Verification`.
 * - `createdBy`: the only command that creates one.
 * - `fixed`: the fields that never change once it exists, beside the key.
 * - `unique`: the fields whose value no two of them share, beside the key.
 * - `secret`: the field that holds a secret, if any. The state refers to the secret by the id of the event that set it, so
 *   there can be only one.
 * - `state`: the schema of a resource as decisions see it and projections store it.
 * - `model`: the class of a resource as `Query` returns it.
 *
 * @since 0.1.0
 * @category models
 */
export const resources = {
  tenant: {
    key: "pubkey",
    owner: "pubkey",
    collection: "tenants",
    createdBy: "CreateTenant",
    fixed: ["createdAt"],
    unique: [],
    secret: "nwcUrl",
    state: TenantState,
    model: Tenant
  },
  relay: {
    key: "id",
    owner: "tenant",
    collection: "relays",
    createdBy: "CreateRelay",
    fixed: ["tenant", "createdAt"],
    unique: ["subdomain"],
    secret: undefined,
    state: RelayState,
    model: Relay
  }
} as const satisfies {
  readonly [Type in ResourceType]: {
    readonly key: string
    readonly owner: string
    readonly collection: `${Type}s`
    readonly createdBy: string
    readonly fixed: ReadonlyArray<string>
    readonly unique: ReadonlyArray<string>
    readonly secret: string | undefined
    readonly state: Schema.Schema.AnyNoContext
    readonly model: Schema.Schema.AnyNoContext
  }
}

/**
 * The fields that hold a secret, of all resources.
 *
 * @since 0.1.0
 * @category models
 */
export const secretFields: ReadonlySet<string> = new Set(Object.values(resources).flatMap(({ secret }) => secret ?? []))

/**
 * A tenant or a relay as decisions see it and projections store it.
 *
 * @since 0.1.0
 * @category models
 */
export type ResourceState = TenantState | RelayState

/**
 * The value of a field that a record names.
 *
 * @since 0.1.0
 * @category accessors
 */
export const fieldIn = (fields: object, name: string): unknown => (fields as { readonly [name: string]: unknown })[name]

/**
 * What identifies a tenant or a relay: the fields by which every event and every activity says what it is about.
 *
 * @since 0.1.0
 * @category models
 */
export const Resource = Schema.Union(
  Schema.Struct({ resourceType: Schema.Literal("tenant"), resourceId: Pubkey }),
  Schema.Struct({ resourceType: Schema.Literal("relay"), resourceId: RelayId })
)

/**
 * @since 0.1.0
 * @category models
 */
export type Resource = typeof Resource.Type

/**
 * A resource as one text, for use as a key: a tenant's pubkey may also be a relay's id.
 *
 * @since 0.1.0
 * @category accessors
 */
export const resourceKey = ({ resourceId, resourceType }: typeof Resource.Encoded): string =>
  `${resourceType} ${resourceId}`
