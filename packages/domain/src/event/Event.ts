/**
 * Events. Each accepted command appends one event, with its changes to one resource. Each event of an import holds a
 * row of another database.
 */
import { Record as Rec, Schema, Struct } from "effect"
import { Activity, type Position, type ResourceType } from "../model/Activity.js"
import { EventId } from "../model/EventId.js"
import { Metadata } from "../model/Metadata.js"
import { RelayId, RelayOptions, RelayState, Subdomain } from "../model/Relay.js"
import { Pubkey, StripeId, TenantState } from "../model/Tenant.js"
import { Text, Version } from "../model/Text.js"
import { activityTypeOf, type EventTag } from "./EventTable.js"

const optional = <Fields extends { readonly [name: string]: Schema.Schema.AnyNoContext }>(fields: Fields) =>
  Rec.map(fields, (schema) => Schema.optionalWith(schema, { exact: true })) as {
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

/** The fields of an imported tenant or relay. */
const tenantRow = Struct.omit(TenantState.fields, "pubkey", "version")
const relayRow = Struct.omit(RelayState.fields, "id", "tenant", "version")

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
  TenantPastDueCleared: tenantEvent("TenantPastDueCleared", { pastDueAt: Schema.Null }),
  /**
   * A tenant that was created in another database. The instant is from that database's log, and the changes hold its
   * row.
   */
  TenantImported: tenantEvent("TenantImported", tenantRow),
  /** The row of another database, recorded if that database's log does not lead to it. */
  TenantReconciled: tenantEvent("TenantReconciled", tenantRow),
  RelayImported: relayEvent("RelayImported", relayRow),
  RelayReconciled: relayEvent("RelayReconciled", relayRow)
} satisfies { readonly [Tag in EventTag]: Schema.Schema.AnyNoContext }

/**
 * The type of the event with a tag.
 *
 * @since 0.1.0
 * @category events
 */
export type EventOf<Tag extends EventTag> = Schema.Schema.Type<typeof events[Tag]>

/**
 * An event as `decide` returns it, before the journal assigns its position.
 *
 * @since 0.1.0
 * @category events
 */
export type Event = EventOf<EventTag>

/**
 * An event in the journal, with its position.
 *
 * @since 0.1.0
 * @category events
 */
export type RecordedEvent = Event & { readonly position: Position }

/**
 * The activity of a recorded event, or `undefined` if the event is not logged.
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
