import { Schema } from "effect"
import { RelayId } from "./Relay.js"
import { Pubkey } from "./Tenant.js"

/**
 * What names a tenant or a relay: the fields by which every event and every activity says what it is about.
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
 * One name for a resource, to be a key: a tenant's pubkey may also be a relay's id.
 *
 * @since 0.1.0
 * @category accessors
 */
export const resourceKey = ({ resourceId, resourceType }: typeof Resource.Encoded): string =>
  `${resourceType} ${resourceId}`
