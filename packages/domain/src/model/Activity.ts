/** The audit log: who owns it, what happened, to which resource (`model.md`). Workers follow it to provision and to bill. */
import { Schema } from "effect"
import { EventId } from "./EventId.js"
import { RelayId } from "./Relay.js"
import { Pubkey } from "./Tenant.js"
import { expected } from "./Text.js"
import { trusted } from "./Trusted.js"

/**
 * A place in the journal, in commit order. The first event has position 1; 0 is before them all.
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
 * What an event is about.
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
 * What happened (`model.md`).
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
)

/**
 * @since 0.1.0
 * @category models
 */
export type ActivityType = typeof ActivityType.Type

/**
 * One entry of the activity log: what a logged command returns and what subscribers receive.
 *
 * @since 0.1.0
 * @category models
 */
export class Activity extends Schema.Class<Activity>("@caravel/domain/Activity")({
  position: Position,
  id: EventId,
  /** The tenant's pubkey; for a relay, its owner's. */
  tenant: Pubkey,
  createdAt: Schema.DateTimeUtc,
  activityType: ActivityType,
  resourceType: ResourceType,
  /** The tenant's pubkey or the relay's id. */
  resourceId: Schema.Union(Pubkey, RelayId)
}) {
  /** An activity of values that have been checked. */
  static readonly trusted = (values: Schema.Struct.Type<typeof Activity.fields>): Activity => trusted(Activity, values)
}
