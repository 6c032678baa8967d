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
import { Array, Either, Record, Schema } from "effect"
import type { Dialect } from "./Dialect.js"
import * as Codec from "./internal/codec.js"
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

const payloads = Record.map(events, (event) => {
  const schema = Schema.parseJson(event.fields.changes as unknown as Schema.Schema<Event["changes"], unknown>)
  return { codec: Codec.make(schema.ast), explain: Schema.decodeEither(schema) }
})

/**
 * The tables of a dialect's database.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (dialect: Dialect) => {
  const boolean = dialect.boolean
  const tenantFields = { ...TenantState.fields, pastDueAt: Schema.NullOr(Instant), createdAt: Instant }

  const event = Table.make("event", eventFields)
  const recorded = Table.make("event", { position: Position, ...eventFields })
  const activity = Table.make("activity", { ...Activity.fields, createdAt: Instant })
  const tenant = Table.make("tenant", tenantFields)
  const tenantWithSecret = Table.make("tenant", {
    ...tenantFields,
    nwcUrl: Schema.NullOr(Schema.Redacted(Schema.String))
  })
  const relay = Table.make("relay", {
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
  const secret = Table.make("secret", { id: SecretId, value: Schema.Redacted(Schema.String) })

  return {
    event: {
      columns: recorded.columns,
      insert: (clause: string) => {
        const insert = event.insert(clause)
        return (events: ReadonlyArray<Event>) => insert(events.map(toRow))
      },
      decode: (rows: Rows) => Either.flatMap(recorded.decode(rows), (rows) => Either.all(rows.map(toEvent)))
    },
    activity: {
      columns: activity.columns,
      decode: (rows: Rows) => Either.map(activity.decode(rows), Array.map(Activity.trusted))
    },
    tenant: {
      ...tenant,
      decodeWithSecret: (rows: Rows) => Either.map(tenantWithSecret.decode(rows), Array.map(Tenant.trusted))
    },
    relay: {
      ...relay,
      decodeModels: (rows: Rows) => Either.map(relay.decode(rows), Array.map(Relay.trusted))
    },
    secret
  }
}

type Rows = ReadonlyArray<ReadonlyArray<unknown>>

const toRow = (event: Event) => ({
  id: event.id,
  type: event._tag,
  activityType: activityTypeOf(event._tag),
  tenant: event.tenant,
  resourceType: event.resourceType,
  resourceId: event.resourceId,
  resourceVersion: event.version,
  payload: String(payloads[event._tag].codec.encode(event.changes)),
  metadata: "{}",
  createdAt: event.createdAt
})

const toEvent = (row: Schema.Struct.Type<typeof eventFields> & { readonly position: Position }) => {
  const { codec, explain } = payloads[row.type]
  const decoded = codec.decode(row.payload)
  return Either.map(decoded === Codec.invalid ? explain(row.payload) : Either.right(decoded), (changes) => ({
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
}
