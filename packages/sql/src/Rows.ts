/** The tables, and how the domain's values stand in their rows. */
import {
  Activity,
  ActivityType,
  activityTypeOf,
  type Event,
  EventId,
  events,
  Position,
  Pubkey,
  type RecordedEvent,
  Relay,
  RelayId,
  ResourceType,
  SecretId,
  Tenant,
  TenantState,
  Version
} from "@caravel/domain"
import { Effect, Record, Schema } from "effect"
import type { Dialect } from "./Dialect.js"
import * as Table from "./Table.js"

const Instant = Schema.DateTimeUtcFromNumber

const EventType = Schema.Literal(...Record.keys(events))

const eventFields = {
  id: EventId,
  type: EventType,
  activityType: Schema.NullOr(ActivityType),
  tenant: Pubkey,
  resourceType: ResourceType,
  resourceId: Schema.Union(Pubkey, RelayId),
  resourceVersion: Version,
  payload: Schema.String,
  metadata: Schema.String,
  createdAt: Instant
}

const changesOf = Record.map(
  events,
  (event) => Schema.parseJson(event.fields.changes as unknown as Schema.Schema<Event["changes"], unknown>)
)
const encodeChanges = Record.map(changesOf, (changes) => Schema.encode(changes))
const decodeChanges = Record.map(changesOf, (changes) => Schema.decode(changes))

/**
 * The tables of a dialect's database.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (dialect: Dialect) => {
  const boolean = dialect.boolean
  const tenantFields = { ...TenantState.fields, pastDueAt: Schema.NullOr(Instant), createdAt: Instant }

  const event = Table.make(dialect, "event", eventFields)
  const recorded = Table.make(dialect, "event", { position: Position, ...eventFields })
  const activity = Table.make(dialect, "activity", { ...Activity.fields, createdAt: Instant })
  const tenant = Table.make(dialect, "tenant", tenantFields)
  const tenantWithSecret = Table.make(dialect, "tenant", {
    ...tenantFields,
    nwcUrl: Schema.NullOr(Schema.Redacted(Schema.String))
  })
  const relay = Table.make(dialect, "relay", {
    ...Relay.fields,
    policyPublicJoin: boolean,
    policyStripSignatures: boolean,
    groupsEnabled: boolean,
    managementEnabled: boolean,
    blossomEnabled: boolean,
    livekitEnabled: boolean,
    pushEnabled: boolean,
    synced: boolean,
    createdAt: Instant
  })
  const secret = Table.make(dialect, "secret", { id: SecretId, value: Schema.Redacted(Schema.String) })

  return {
    event: {
      ...event,
      columns: recorded.columns,
      encode: (rows: ReadonlyArray<Event>) => Effect.flatMap(Effect.forEach(rows, toRow), event.encode),
      decode: (rows: unknown) => Effect.flatMap(recorded.decode(rows), Effect.forEach(toEvent))
    },
    activity: {
      ...activity,
      decode: (rows: unknown) => Effect.map(activity.decode(rows), (rows) => rows.map((row) => new Activity(row)))
    },
    tenant: {
      ...tenant,
      decodeWithSecret: (rows: unknown) =>
        Effect.map(tenantWithSecret.decode(rows), (rows) => rows.map((row) => new Tenant(row)))
    },
    relay: {
      ...relay,
      decodeModels: (rows: unknown) => Effect.map(relay.decode(rows), (rows) => rows.map((row) => new Relay(row)))
    },
    secret
  }
}

const toRow = (event: Event) =>
  Effect.map(encodeChanges[event._tag](event.changes), (payload) => ({
    id: event.id,
    type: event._tag,
    activityType: activityTypeOf(event._tag),
    tenant: event.tenant,
    resourceType: event.resourceType,
    resourceId: event.resourceId,
    resourceVersion: event.version,
    payload,
    metadata: "{}",
    createdAt: event.createdAt
  }))

const toEvent = (row: Schema.Struct.Type<typeof eventFields> & { readonly position: Position }) =>
  Effect.map(decodeChanges[row.type](row.payload), (changes) => ({
    _tag: row.type,
    position: row.position,
    id: row.id,
    tenant: row.tenant,
    resourceType: row.resourceType,
    resourceId: row.resourceId,
    version: row.resourceVersion,
    createdAt: row.createdAt,
    changes
    // The type and its changes were decoded together.
  } as RecordedEvent))
