/**
 * The audit log: what happened to which resource, and which tenant owns it. Workers read it for
 * provisioning and billing.
 */
import { Schema } from "effect"
import { EventId } from "./EventId.js"
import { RelayId } from "./Relay.js"
import { Pubkey } from "./Tenant.js"
import { expected } from "./Text.js"
import { trusted } from "./Trusted.js"

/**
 * A position in the journal, in commit order. The first event has position 1; 0 is before all events.
 *
 * @since 0.1.0
 * @category models
 */
export const Position = Schema.NonNegativeInt.pipe(Schema.brand("Position")).annotations({
  identifier: "Position",
  ...expected("a position: an integer of at least 0")
})

/**
 * @since 0.1.0
 * @category models
 */
export type Position = typeof Position.Type

/**
 * The type of the resource that an event is about.
 *
 * @since 0.1.0
 * @category models
 */
export const ResourceType = Schema.Literal("tenant", "relay")

/**
 * @since 0.1.0
 * @category models
 */
export type ResourceType = typeof ResourceType.Type

/**
 * The kind of an activity.
 *
 * @since 0.1.0
 * @category models
 */
export const ActivityType = Schema.Literal(
  "create_tenant",
  "update_tenant",
  "create_relay",
  "update_relay",
  "deactivate_relay",
  "activate_relay",
  "fail_relay_sync",
  "complete_relay_sync"
).annotations(expected("the type of an activity, such as create_relay"))

/**
 * @since 0.1.0
 * @category models
 */
export type ActivityType = typeof ActivityType.Type

/**
 * One entry of the activity log. A logged command returns it, and subscribers receive it.
 *
 * @since 0.1.0
 * @category models
 */
export class Activity extends Schema.Class<Activity>("@caravel/domain/Activity")({
  position: Position,
  id: EventId,
  /** The tenant's pubkey; for a relay, the pubkey of its owner. */
  tenant: Pubkey,
  createdAt: Schema.DateTimeUtc,
  activityType: ActivityType,
  resourceType: ResourceType,
  /** The tenant's pubkey or the relay's id. */
  resourceId: Schema.Union(Pubkey, RelayId)
}) {
  /** Creates an activity from values that have already been validated. */
  static readonly trusted = (values: Schema.Struct.Type<typeof Activity.fields>): Activity => trusted(Activity, values)
}
