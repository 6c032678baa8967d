/** Tenants and relays as data: their names, keys, creating commands and special fields. */
import { Record as Rec, Schema } from "effect"
import type { ResourceType } from "./Activity.js"
import { Relay, RelayId, RelayState } from "./Relay.js"
import { Pubkey, Tenant, TenantState } from "./Tenant.js"

/**
 * One record per resource type, with the names in which the types differ. It is used by all code that works on every
 * type: decisions, verification, imports, and the tables and queries of adapters. The type of a field, such as a
 * boolean or an instant, is in the field's schema.
 *
 * - `key`: the field that identifies a resource.
 * - `owner`: the field that names the tenant that owns the resource.
 * - `collection`: the plural name, as in `State` and `Verification`.
 * - `createdBy`: the only command that creates such a resource.
 * - `fixed`: the fields, besides the key, that never change after creation.
 * - `unique`: the fields, besides the key, whose values are unique among resources of the type.
 * - `secret`: the field that holds a secret, if any. The state refers to a secret by the id of the event that set it,
 *   so a resource type can have only one such field.
 * - `state`: the schema of a resource as decisions see it and projections store it.
 * - `model`: the class that `Query` returns.
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
 * The names of the fields that hold a secret, for all resource types.
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
 * The names of the fields of each resource type's state, in the order of its schema.
 *
 * @since 0.1.0
 * @category models
 */
export const stateFields: { readonly [Type in ResourceType]: ReadonlyArray<string> } = Rec.map(
  resources,
  ({ state }) => Object.keys(state.fields)
)

/**
 * The value of a field, given the field's name.
 *
 * @since 0.1.0
 * @category accessors
 */
export const fieldIn = (fields: object, name: string): unknown => (fields as { readonly [name: string]: unknown })[name]

/**
 * Identifies a tenant or a relay. Every event and every activity has these fields.
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
 * A resource as one string, for use as a key. It includes the type, because a tenant's pubkey is also a valid relay id.
 *
 * @since 0.1.0
 * @category accessors
 */
export const resourceKey = ({ resourceId, resourceType }: typeof Resource.Encoded): string =>
  `${resourceType} ${resourceId}`
