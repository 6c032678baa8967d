/** The table `caravel_event`: encodes events as rows, and decodes rows of any schema version. */
import {
  ActivityType,
  type Event,
  EventId,
  events,
  Metadata,
  Position,
  Pubkey,
  type RecordedEvent,
  RelayId,
  ResourceType,
  Version
} from "@caravel/domain"
import { activityTypeOf, Codec, type NewerEvent, upcast, type Upcasters, versionOf } from "@caravel/domain/adapter"
import { Either, ParseResult, Record as Rec, Schema } from "effect"
import type { Dialect } from "../statement/Dialect.js"
import type { ResultRows } from "../statement/StatementScript.js"
import * as Table from "../statement/Table.js"

const EventType = Schema.Literal(...Rec.keys(events))

const fields = {
  position: Position,
  id: EventId,
  type: EventType,
  activityType: Schema.NullOr(ActivityType),
  tenant: Pubkey,
  resourceType: ResourceType,
  resourceId: Schema.Union(Pubkey, RelayId),
  resourceVersion: Version,
  payload: Schema.String,
  metadata: Schema.String,
  createdAt: Table.Instant,
  schemaVersion: Version
}

const newFields = { ...fields, createdAt: Schema.Int, latestAt: Schema.NullOr(Schema.Int) }

/** The table in a dialect. The upcasters decode events of older versions. */
export const make = (dialect: Dialect, upcasters: Upcasters) => {
  const { at, columns, decode, decodeRow, name, select } = Table.make("caravel_event", fields)
  const toRow = toRowBy(upcasters)
  const toEvent = toEventBy(upcasters)
  return {
    name,
    columns,
    at,
    /**
     * Statements that insert events. `before` is the latest instant of the events before them. An event that is
     * earlier also stores the latest instant, so that it is known at every position without a search.
     */
    insert: () => {
      const insert = Table.make(name, newFields).insert("", dialect.writesEachRow ? 1 : undefined)
      return (events: ReadonlyArray<RecordedEvent>, before: number) => {
        let latest = before
        return insert(events.map((event) => {
          const createdAt = event.createdAt.epochMillis
          const latestAt = latest > createdAt ? latest : null
          latest = Math.max(latest, createdAt)
          return toRow(event, latestAt)
        }))
      }
    },
    selectAt: select("position"),
    decode: (rows: ResultRows) => Either.flatMap(decode(rows), (rows) => Either.all(rows.map(toEvent))),
    decodeRow: (row: ResultRows[number]) => Either.flatMap(decodeRow(row), toEvent)
  }
}

const payloads = Rec.map(events, (event) => {
  const changes = event.fields.changes as unknown as Schema.Schema<Event["changes"], unknown>
  return {
    codec: Codec.make(Schema.parseJson(changes).ast),
    encode: Codec.make(changes.ast).encode,
    decode: Schema.decodeUnknownEither(changes)
  }
})

const metadata = {
  codec: Codec.make(Schema.parseJson(Metadata).ast),
  encode: Codec.make(Metadata.ast).encode,
  decode: Schema.decodeEither(Schema.parseJson(Metadata))
}

/** Why rows cannot be decoded. */
export type Unreadable = ParseResult.ParseError | NewerEvent

const parse = Schema.decodeEither(Schema.parseJson())

/** The metadata of most events. */
const noMetadata: Either.Either<Metadata> = Either.right({})

/** Encodes an event as a row. JSON by `Schema.parseJson` would take 1.5 µs more for each event. */
const toRowBy = (all: Upcasters) => (event: RecordedEvent, latestAt: number | null) => ({
  position: event.position,
  id: event.id,
  type: event._tag,
  activityType: activityTypeOf(event._tag),
  tenant: event.tenant,
  resourceType: event.resourceType,
  resourceId: event.resourceId,
  resourceVersion: event.version,
  payload: JSON.stringify(payloads[event._tag].encode(event.changes)),
  metadata: JSON.stringify(metadata.encode(event.metadata)),
  createdAt: event.createdAt.epochMillis,
  schemaVersion: versionOf(event._tag, all),
  latestAt
})

type EventRow = Schema.Struct.Type<typeof fields>

/** Decodes a row to an event of the current schema version. */
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
