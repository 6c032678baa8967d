/** The parameters of queries: pages of lists, and filters. */
import {
  ActivityType,
  Epoch,
  Instant,
  PlanId,
  Position,
  Pubkey,
  RelayId,
  RelayStatus,
  ResourceType,
  Subdomain
} from "@caravel/domain"
import { expected } from "@caravel/domain/adapter"
import { Either, Schema } from "effect"

/** The number of items of a page, unless the request names another. */
const defaultLimit = 100

/** The largest number of items of a page. */
export const maxLimit = 1000

const number = <A>(schema: Schema.Schema<A, number>, what: string, range: object) =>
  Schema.String.pipe(
    Schema.pattern(/^(0|[1-9]\d{0,15})$/),
    Schema.annotations({ ...expected(what), jsonSchema: { type: "integer", ...range } }),
    Schema.compose(Schema.NumberFromString),
    Schema.compose(schema)
  )

/**
 * A position of the journal.
 *
 * @since 0.1.0
 * @category parameters
 */
export const position = number(Position, "a position: an integer of at least 0", { minimum: 0 })

const limit = Schema.optionalWith(
  number(Schema.Int.pipe(Schema.between(1, maxLimit)), `a number of items from 1 to ${maxLimit}`, {
    minimum: 1,
    maximum: maxLimit,
    default: defaultLimit
  }),
  { exact: true, default: () => defaultLimit }
)

const optional = <A, I>(schema: Schema.Schema<A, I>) => Schema.optionalWith(schema, { exact: true })

const many = <A, I extends string>(schema: Schema.Schema<A, I>) => optional(Schema.Array(schema))

/** The page that follows a `cursor`, which the page before it contains. */
const page = <A>(key: Schema.Schema<A, string>) => ({ cursor: optional(key), limit })

const boolean = Schema.Literal("true", "false").pipe(Schema.compose(Schema.BooleanFromString))

/** Parameters of a route. Another one is an error: a misspelt filter would select everything. */
const parameters = <Fields extends Schema.Struct.Fields>(fields: Fields) =>
  Schema.Struct(fields).annotations({ parseOptions: { onExcessProperty: "error" } })

const relayFilter = { status: many(RelayStatus), plan: many(PlanId), synced: optional(boolean) }

/**
 * @since 0.1.0
 * @category parameters
 */
export const Tenants = parameters({ ...page(Pubkey), pastDue: optional(boolean) })

/**
 * @since 0.1.0
 * @category parameters
 */
export const RelaysOfTenant = parameters({ ...page(RelayId), ...relayFilter })

/**
 * @since 0.1.0
 * @category parameters
 */
export const Relays = parameters({
  ...RelaysOfTenant.fields,
  tenant: optional(Pubkey),
  subdomain: optional(Subdomain)
})

const selection = {
  tenant: optional(Pubkey),
  resourceType: optional(ResourceType),
  resourceId: optional(Schema.Union(Pubkey, RelayId)),
  activityType: many(ActivityType)
}

/**
 * @since 0.1.0
 * @category parameters
 */
export const Activities = parameters({ after: optional(position), upTo: optional(position), limit, ...selection })

const since = /^(?:([0-9a-f-]{36}):)?(\d{1,15})$/

/**
 * Where a stream continues: a position with its epoch, as the `id` of an event, or a position alone.
 *
 * @since 0.1.0
 * @category parameters
 */
export const Since = Schema.transform(
  Schema.String.pipe(
    Schema.pattern(since),
    Schema.annotations(expected("the id of an event, which is its epoch and position, or a position"))
  ),
  Schema.Struct({ epoch: Schema.optionalWith(Epoch, { exact: true }), position: Position }),
  {
    strict: true,
    decode: (text) => {
      const [, epoch, position] = since.exec(text) ?? []
      return { ...(epoch === undefined ? {} : { epoch }), position: Number(position) }
    },
    encode: ({ epoch, position }) => epoch === undefined ? String(position) : `${epoch}:${position}`
  }
)

/**
 * @since 0.1.0
 * @category parameters
 */
export const Stream = parameters({ since: optional(Since), ...selection })

const decodeInstant = Schema.decodeUnknownEither(Instant)

const instant = Schema.String.pipe(
  Schema.filter((text) => Either.isRight(decodeInstant(text))),
  Schema.annotations({
    ...expected("an instant such as 2026-11-01T00:00Z, with its time zone, or a date"),
    jsonSchema: { type: "string", examples: ["2026-11-01T00:00Z", "2026-11-01"] }
  })
)

const moment = Schema.Union(position, instant).annotations(
  expected("a position, or an instant such as 2026-11-01T00:00Z, with its time zone")
)

/**
 * @since 0.1.0
 * @category parameters
 */
export const History = parameters({
  at: optional(moment),
  cursor: optional(position),
  limit,
  order: Schema.optionalWith(Schema.Literal("oldest", "newest"), { exact: true, default: () => "oldest" })
})

/**
 * @since 0.1.0
 * @category parameters
 */
export const Diff = parameters({
  from: moment,
  to: moment,
  resourceType: optional(ResourceType),
  resourceId: optional(Schema.Union(Pubkey, RelayId))
})

/**
 * @since 0.1.0
 * @category parameters
 */
export const Usage = parameters({ from: instant, to: instant })

/**
 * @since 0.1.0
 * @category parameters
 */
export const Parked = parameters({ cursor: optional(position), limit })

/**
 * Where a consumer continues.
 *
 * @since 0.1.0
 * @category parameters
 */
export const Reset = Schema.Struct({ position: Position, epoch: optional(Epoch) })

/**
 * @since 0.1.0
 * @category parameters
 */
export const Events = parameters({ after: optional(position), limit })

/**
 * Events after a position, or those at the positions that are named.
 *
 * @since 0.1.0
 * @category parameters
 */
export const AllEvents = parameters({
  ...Events.fields,
  position: optional(Schema.Array(position).pipe(Schema.maxItems(maxLimit)))
})

/**
 * @since 0.1.0
 * @category parameters
 */
export const ResourceEvents = parameters({
  after: Schema.optionalWith(
    number(Schema.NonNegativeInt, "a version: an integer of at least 0", { minimum: 0 }),
    { exact: true, default: () => 0 }
  ),
  limit
})

/**
 * @since 0.1.0
 * @category parameters
 */
export const PositionAt = parameters({ instant })
