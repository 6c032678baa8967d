/** The tables, and how the domain's values stand in their rows. */
import {
  Activity,
  ActivityType,
  activityTypeOf,
  type Event,
  EventId,
  events,
  Metadata,
  Position,
  Pubkey,
  type RecordedEvent,
  type Refusal,
  Relay,
  RelayAlreadyExists,
  RelayId,
  RelayNotFound,
  ResourceType,
  SecretId,
  SubdomainTaken,
  Tenant,
  TenantAlreadyExists,
  TenantNotFound,
  TenantState,
  Version,
  VersionConflict
} from "@caravel/domain"
import { Array, Either, type ParseResult, Record, Schema } from "effect"
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

/** A column of JSON in text. */
const json = <A>(fields: Schema.Schema.AnyNoContext) => {
  const schema = Schema.parseJson(fields as Schema.Schema<A, unknown>)
  const codec = Codec.make(schema.ast)
  const explain = Schema.decodeEither(schema)
  return {
    encode: (value: A) => String(codec.encode(value)),
    decode: (text: string): Either.Either<A, ParseResult.ParseError> => {
      const decoded = codec.decode(text)
      return decoded === Codec.invalid ? explain(text) : Either.right(decoded as A)
    }
  }
}

const payloads = Record.map(events, (event) => json<Event["changes"]>(event.fields.changes))

const metadata = json<Metadata>(Metadata)

/** What most events have. */
const noMetadata: Metadata = {}

const refusal: Schema.Schema<Refusal, any> = Schema.Union(
  TenantAlreadyExists,
  TenantNotFound,
  RelayAlreadyExists,
  RelayNotFound,
  SubdomainTaken,
  VersionConflict
)

const idempotencyFields = {
  id: Schema.String,
  identity: Schema.String,
  /** That of the first of its events. */
  position: Schema.NullOr(Position),
  events: Schema.NonNegativeInt,
  refusal: Schema.NullOr(Schema.parseJson(refusal)),
  createdAt: Instant
}

/**
 * What is kept of a command with a key.
 *
 * @since 0.1.0
 * @category models
 */
export interface IdempotencyRow extends Schema.Struct.Type<typeof idempotencyFields> {}

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
      at: recorded.select("position"),
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
    secret,
    idempotency: Table.make("idempotency", idempotencyFields)
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
  payload: payloads[event._tag].encode(event.changes),
  metadata: metadata.encode(event.metadata),
  createdAt: event.createdAt
})

const toEvent = (row: Schema.Struct.Type<typeof eventFields> & { readonly position: Position }) => {
  const decoded = row.metadata === "{}" ? Either.right(noMetadata) : metadata.decode(row.metadata)
  return Either.zipWith(payloads[row.type].decode(row.payload), decoded, (changes, metadata) => ({
    _tag: row.type,
    position: row.position,
    id: row.id,
    tenant: row.tenant,
    resourceType: row.resourceType,
    resourceId: row.resourceId,
    version: row.resourceVersion,
    createdAt: row.createdAt,
    metadata,
    changes
    // The type and its changes were decoded together.
  } as RecordedEvent))
}
