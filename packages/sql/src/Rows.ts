/** The tables, and how the domain's values stand in their rows. */
import {
  Activity,
  ActivityType,
  activityTypeOf,
  type Batch,
  type Event,
  EventId,
  events,
  Metadata,
  type NewerEvent,
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
  upcast,
  type Upcasters,
  upcasters,
  Version,
  VersionConflict,
  versionOf
} from "@caravel/domain"
import { Array, Either, Function, ParseResult, Record, Schema } from "effect"
import type { Dialect } from "./Dialect.js"
import { importFields, importRefusalFields } from "./ImportRows.js"
import * as Codec from "./internal/codec.js"
import type { Rows } from "./Program.js"
import * as SecretCodec from "./SecretCodec.js"
import * as Table from "./Table.js"

const { Instant } = Table

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
  createdAt: Instant,
  schemaVersion: Version
}

const payloads = Record.map(events, (event) => {
  const changes = event.fields.changes as unknown as Schema.Schema<Event["changes"], unknown>
  return { codec: Codec.make(Schema.parseJson(changes).ast), decode: Schema.decodeUnknownEither(changes) }
})

const metadata = {
  codec: Codec.make(Schema.parseJson(Metadata).ast),
  decode: Schema.decodeEither(Schema.parseJson(Metadata))
}

const noSecret = Either.right(null)

/** What most events have. */
const noMetadata: Either.Either<Metadata> = Either.right({})

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

const parse = Schema.decodeEither(Schema.parseJson())

const secretFields = { id: SecretId, value: Schema.String, keyId: Schema.NullOr(Schema.String) }

/**
 * The tables of a dialect's database. Events of older versions are read as today's, by the upcasters; secrets are stored
 * by their codec, in clear if none is given.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  dialect: Dialect,
  { secrets = SecretCodec.clear, upcasters: all = upcasters }: {
    readonly secrets?: SecretCodec.SecretCodec
    readonly upcasters?: Upcasters
  } = {}
) => {
  const boolean = dialect.boolean
  const tenantFields = { ...TenantState.fields, pastDueAt: Schema.NullOr(Instant), createdAt: Instant }

  const toRow = toRowBy(all)
  const toEvent = toEventBy(all)
  const event = Table.make("caravel_event", { position: Position, ...eventFields })
  const activity = Table.make("caravel_activity", { ...Activity.fields, createdAt: Instant }, Activity.prototype)
  const tenant = Table.make("caravel_tenant", tenantFields)
  const tenantWithSecret = Table.make("caravel_tenant", {
    ...tenantFields,
    value: Schema.NullOr(secretFields.value),
    keyId: secretFields.keyId
  })
  const relay = Table.make("caravel_relay", {
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
  const secret = Table.make("caravel_secret", secretFields)
  const stored =
    (write: (rows: ReadonlyArray<SecretCodec.StoredSecret>) => ReadonlyArray<Table.Statement>) =>
    (values: Batch["secrets"]) => write(values.map(secrets.encode))

  return {
    event: {
      name: event.name,
      columns: event.columns,
      insert: () => {
        const insert = event.insert("", dialect.writesEachRow ? 1 : undefined)
        return (events: ReadonlyArray<RecordedEvent>) => insert(events.map(toRow))
      },
      decode: (rows: Rows) => Either.flatMap(event.decode(rows), (rows) => Either.all(rows.map(toEvent))),
      decodeRow: (row: Rows[number]) => Either.flatMap(event.decodeRow(row), toEvent),
      selectAt: event.select("position"),
      at: event.at
    },
    activity: {
      columns: activity.columns,
      decode: activity.decode
    },
    tenant: {
      ...tenant,
      /** What to select for `decodeWithSecret`, from tenants joined with their secrets. */
      columnsWithSecret: tenantWithSecret.columns({
        nwcUrl: "caravel_secret.id",
        value: "caravel_secret.value",
        keyId: "caravel_secret.key_id"
      }),
      decodeWithSecret: (rows: Rows) =>
        Either.flatMap(
          tenantWithSecret.decode(rows),
          (tenants) =>
            Either.all(tenants.map(({ keyId, nwcUrl: id, value, ...tenant }) =>
              Either.map(
                id === null || value === null ? noSecret : secrets.decode({ id, value, keyId }),
                (nwcUrl) => Tenant.trusted({ ...tenant, nwcUrl })
              )
            ))
        )
    },
    relay: {
      ...relay,
      /**
       * Gives relays subdomains that no other row has or will have, so that others can take over theirs: a unique column is
       * checked row by row. A row that was deleted and inserted again would take with it what refers to it.
       */
      vacate: Table.chunked<string>(
        (size) =>
          `UPDATE ${relay.name} SET subdomain = ' ' || ${dialect.randomText} WHERE id IN (${Table.repeat("?", size)})`,
        Function.identity
      ),
      /** Selects the relays that have one of these subdomains, and whether the journal has events of them. */
      ofSubdomains: Table.chunked<string>(
        (size) =>
          `SELECT id, subdomain, (SELECT 1 FROM ${event.name}
              WHERE resource_id = ${relay.name}.id AND resource_type = 'relay' LIMIT 1) IS NOT NULL
            FROM ${relay.name} WHERE subdomain IN (${Table.repeat("?", size)})`,
        Function.identity
      ),
      decodeModels: (rows: Rows) => Either.map(relay.decode(rows), Array.map(Relay.trusted))
    },
    secret: {
      columns: secret.columns,
      insert: () => stored(secret.insert()),
      upsert: () => stored(secret.upsert("id", [])),
      delete: secret.delete,
      decode: (rows: Rows) =>
        Either.flatMap(
          secret.decode(rows),
          (rows) => Either.all(rows.map((row) => Either.map(secrets.decode(row), (value) => ({ id: row.id, value }))))
        ),
      /** The key that those which are written are encrypted with; null if none is. */
      keyId: secrets.keyId
    },
    /** The secrets without their values. */
    secretId: Table.make("caravel_secret", { id: SecretId }),
    idempotency: Table.make("caravel_idempotency", idempotencyFields),
    import: Table.make("caravel_import", importFields),
    importRefusal: Table.make("caravel_import_refusal", importRefusalFields)
  }
}

/**
 * Why rows cannot be read.
 *
 * @since 0.1.0
 * @category models
 */
export type Unreadable = ParseResult.ParseError | NewerEvent

const toRowBy = (all: Upcasters) => (event: RecordedEvent) => ({
  position: event.position,
  id: event.id,
  type: event._tag,
  activityType: activityTypeOf(event._tag),
  tenant: event.tenant,
  resourceType: event.resourceType,
  resourceId: event.resourceId,
  resourceVersion: event.version,
  payload: String(payloads[event._tag].codec.encode(event.changes)),
  metadata: String(metadata.codec.encode(event.metadata)),
  createdAt: event.createdAt,
  schemaVersion: versionOf(event._tag, all)
})

type EventRow = Schema.Struct.Type<typeof eventFields> & { readonly position: Position }

const toEventBy = (all: Upcasters) => (row: EventRow) =>
  Either.zipWith(changesOf(row, all), metadataOf(row), (changes, metadata) => ({
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

const metadataOf = ({ metadata: text }: EventRow): Either.Either<Metadata, ParseResult.ParseError> => {
  if (text === "{}") return noMetadata
  const decoded = metadata.codec.decode(text)
  return decoded === Codec.invalid ? metadata.decode(text) : Either.right(decoded as Metadata)
}

const changesOf = (
  { payload, position, schemaVersion: version, type: tag }: EventRow,
  all: Upcasters
): Either.Either<unknown, Unreadable> => {
  const { codec, decode } = payloads[tag]
  if (version === versionOf(tag, all)) {
    const decoded = codec.decode(payload)
    if (decoded !== Codec.invalid) return Either.right(decoded)
  }
  return parse(payload).pipe(
    Either.flatMap((changes) => upcast({ tag, version, position }, changes, all)),
    Either.flatMap(decode),
    Either.mapLeft((error) =>
      ParseResult.isParseError(error)
        ? ParseResult.parseError(new ParseResult.Pointer("payload", payload, error.issue))
        : error
    )
  )
}
