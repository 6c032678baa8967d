/** What has happened: one event per accepted command, each the changes it makes to one resource. */
import { Record, Schema } from "effect"
import { Activity, type ActivityType, type Position, type ResourceType } from "./Activity.js"
import { commandTable, type EventTag } from "./CommandTable.js"
import { EventId } from "./EventId.js"
import { Metadata } from "./Metadata.js"
import { RelayId, RelayOptions, RelayState, Subdomain } from "./Relay.js"
import { Pubkey, StripeId, TenantState } from "./Tenant.js"
import { Text, Version } from "./Text.js"

const optional = <Fields extends { readonly [name: string]: Schema.Schema.AnyNoContext }>(fields: Fields) =>
  Record.map(fields, (schema) => Schema.optionalWith(schema, { exact: true })) as {
    readonly [Name in keyof Fields]: Schema.optionalWith<Fields[Name], { exact: true }>
  }

const eventAbout =
  <Type extends ResourceType, Id extends Schema.Schema.AnyNoContext>(resourceType: Type, resourceId: Id) =>
  <Tag extends EventTag, Changes extends Schema.Struct.Fields>(tag: Tag, changes: Changes) =>
    Schema.TaggedStruct(tag, {
      id: EventId,
      tenant: Pubkey,
      resourceType: Schema.Literal(resourceType),
      resourceId,
      version: Version,
      createdAt: Schema.DateTimeUtc,
      metadata: Metadata,
      changes: Schema.Struct(changes)
    })

const tenantEvent = eventAbout("tenant", Pubkey)
const relayEvent = eventAbout("relay", RelayId)

const { nwcUrl, nwcError, pastDueAt, stripeCustomerId, stripeSubscriptionId } = TenantState.fields
const { status, stripeSubscriptionItemId, syncError, synced } = RelayState.fields

/**
 * The schemas of the events by their tags.
 *
 * @since 0.1.0
 * @category events
 */
export const events = {
  TenantCreated: tenantEvent("TenantCreated", {
    nwcUrl,
    nwcError,
    stripeCustomerId,
    stripeSubscriptionId,
    pastDueAt
  }),
  TenantUpdated: tenantEvent("TenantUpdated", optional({ nwcUrl, stripeCustomerId })),
  RelayCreated: relayEvent("RelayCreated", {
    subdomain: Subdomain,
    ...RelayOptions.fields,
    status,
    synced,
    syncError,
    stripeSubscriptionItemId
  }),
  RelayUpdated: relayEvent("RelayUpdated", optional({ subdomain: Subdomain, ...RelayOptions.fields })),
  RelayDeactivated: relayEvent("RelayDeactivated", { status: Schema.Literal("inactive") }),
  RelayMarkedDelinquent: relayEvent("RelayMarkedDelinquent", { status: Schema.Literal("delinquent") }),
  RelayActivated: relayEvent("RelayActivated", { status: Schema.Literal("active") }),
  RelaySyncFailed: relayEvent("RelaySyncFailed", { syncError: Text }),
  RelaySyncCompleted: relayEvent("RelaySyncCompleted", { synced: Schema.Literal(true), syncError: Schema.Literal("") }),
  RelaySubscriptionItemDeleted: relayEvent("RelaySubscriptionItemDeleted", { stripeSubscriptionItemId: Schema.Null }),
  RelaySubscriptionItemSet: relayEvent("RelaySubscriptionItemSet", { stripeSubscriptionItemId: StripeId }),
  TenantSubscriptionSet: tenantEvent("TenantSubscriptionSet", { stripeSubscriptionId: StripeId }),
  TenantSubscriptionCleared: tenantEvent("TenantSubscriptionCleared", { stripeSubscriptionId: Schema.Null }),
  TenantNwcErrorSet: tenantEvent("TenantNwcErrorSet", { nwcError: Text }),
  TenantNwcErrorCleared: tenantEvent("TenantNwcErrorCleared", { nwcError: Schema.Null }),
  TenantPastDueSet: tenantEvent("TenantPastDueSet", { pastDueAt: Schema.DateTimeUtc }),
  TenantPastDueCleared: tenantEvent("TenantPastDueCleared", { pastDueAt: Schema.Null })
} satisfies { readonly [Tag in EventTag]: Schema.Schema.AnyNoContext }

/**
 * The event of a tag.
 *
 * @since 0.1.0
 * @category events
 */
export type EventOf<Tag extends EventTag> = Schema.Schema.Type<typeof events[Tag]>

/**
 * An event as `decide` gives it, before the journal has given it a position.
 *
 * @since 0.1.0
 * @category events
 */
export type Event = EventOf<EventTag>

/**
 * An event of the journal.
 *
 * @since 0.1.0
 * @category events
 */
export type RecordedEvent = Event & { readonly position: Position }

const activityTypes = new Map<string, ActivityType | null>(
  Object.values(commandTable).map(({ activity, event }) => [event, activity])
)

/**
 * The activity type that events of this tag carry; null for those that log none.
 *
 * @since 0.1.0
 * @category events
 */
export const activityTypeOf = (tag: EventTag): ActivityType | null => activityTypes.get(tag) ?? null

/**
 * The activity that a recorded event is, if it is one.
 *
 * @since 0.1.0
 * @category events
 */
export const activityOf = (event: RecordedEvent): Activity | undefined => {
  const activityType = activityTypeOf(event._tag)
  if (activityType === null) return undefined
  const { createdAt, id, position, resourceId, resourceType, tenant } = event
  return Activity.trusted({ position, id, tenant, createdAt, activityType, resourceType, resourceId })
}
