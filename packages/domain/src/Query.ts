import { Chunk, Context, Effect, Option, type ParseResult, Schema, Stream } from "effect"
import type { StorageError } from "./command/CommandError.js"
import { type Activity, ActivityType, Position } from "./model/Activity.js"
import { decodeInput } from "./model/Decoding.js"
import { PlanId, type Relay, RelayId, RelayStatus, Subdomain } from "./model/Relay.js"
import { Pubkey, type Tenant } from "./model/Tenant.js"
import { nextTurn } from "./runtime/Steps.js"

/**
 * Selects the activities to read.
 *
 * @since 0.1.0
 * @category models
 */
export const ActivityFilter = Schema.Struct({
  /** Only activities after this position; from the beginning if absent. */
  after: Schema.optionalWith(Position, { default: () => Position.make(0) }),
  /** Only activities up to and including this position. */
  upTo: Schema.optional(Position),
  /** At most this number of activities; all if absent. */
  limit: Schema.optional(Schema.NonNegativeInt),
  tenant: Schema.optional(Pubkey),
  /** Only activities of this type, or of one of these types. */
  activityType: Schema.optional(Schema.Union(ActivityType, Schema.Array(ActivityType))),
  resourceId: Schema.optional(Schema.Union(Pubkey, RelayId))
})

/**
 * @since 0.1.0
 * @category models
 */
export interface ActivityFilter extends Schema.Schema.Type<typeof ActivityFilter> {}

const oneOrMore = <A, I>(schema: Schema.Schema<A, I>) => Schema.optional(Schema.Union(schema, Schema.Array(schema)))

/**
 * Selects the relays to read, ordered by id.
 *
 * @since 0.1.0
 * @category models
 */
export const RelayFilter = Schema.Struct({
  /** Only relays after this id: that of the last relay of the previous page. */
  after: Schema.optional(RelayId),
  /** At most this number of relays; all if absent. */
  limit: Schema.optional(Schema.NonNegativeInt),
  /** Only relays of this tenant. */
  tenant: Schema.optional(Pubkey),
  /** Only relays with this status, or with one of these. */
  status: oneOrMore(RelayStatus),
  /** Only relays on this plan, or on one of these. */
  plan: oneOrMore(PlanId),
  /** Only relays that have been provisioned, or only those that have not. */
  synced: Schema.optional(Schema.Boolean)
})

/**
 * @since 0.1.0
 * @category models
 */
export interface RelayFilter extends Schema.Schema.Type<typeof RelayFilter> {}

/**
 * Selects the tenants to read, ordered by pubkey.
 *
 * @since 0.1.0
 * @category models
 */
export const TenantFilter = Schema.Struct({
  /** Only tenants after this pubkey: that of the last tenant of the previous page. */
  after: Schema.optional(Pubkey),
  /** At most this number of tenants; all if absent. */
  limit: Schema.optional(Schema.NonNegativeInt),
  /** Only tenants with a bill that is past due, or only those without. */
  pastDue: Schema.optional(Schema.Boolean)
})

/**
 * @since 0.1.0
 * @category models
 */
export interface TenantFilter extends Schema.Schema.Type<typeof TenantFilter> {}

/** The reads that an adapter implements. Their arguments have already been validated. */
interface Reads {
  readonly tenant: (pubkey: Pubkey) => Effect.Effect<Option.Option<Tenant>, StorageError>
  readonly findTenants: (filter: TenantFilter) => Effect.Effect<ReadonlyArray<Tenant>, StorageError>
  readonly relay: (id: RelayId) => Effect.Effect<Option.Option<Relay>, StorageError>
  readonly relayBySubdomain: (subdomain: Subdomain) => Effect.Effect<Option.Option<Relay>, StorageError>
  readonly findRelays: (filter: RelayFilter) => Effect.Effect<ReadonlyArray<Relay>, StorageError>
  readonly activity: (filter: ActivityFilter) => Effect.Effect<ReadonlyArray<Activity>, StorageError>
}

type Read<A> = Effect.Effect<A, StorageError | ParseResult.ParseError>
type Pages<A> = Stream.Stream<A, StorageError | ParseResult.ParseError>

/**
 * Reads of tenants, relays and the activity log. Inside the caller's own transaction, reads see its writes; elsewhere
 * they see committed data. They never wait for a writer.
 *
 * Pages of `findTenants` and `findRelays` follow the order of keys: pass the last key of a page as `after` of the next.
 * A row that exists and matches throughout is returned exactly once, whatever is written between two pages; a row that is
 * created or changed meanwhile is returned as it is when its page is read. The streams read such pages.
 *
 * @example
 * ```ts
 * import { Query } from "@caravel/domain"
 * import { Memory } from "@caravel/memory"
 * import { Effect } from "effect"
 *
 * const program = Effect.gen(function*() {
 *   const query = yield* Query
 *   const relay = yield* query.relayBySubdomain("main")
 *   const lastTen = yield* query.activity({ after: 0, limit: 10 })
 *   return { relay, lastTen }
 * })
 *
 * await Effect.runPromise(Effect.provide(program, Memory.layer))
 * ```
 *
 * @since 0.1.0
 * @category services
 */
export class Query extends Context.Tag("@caravel/domain/Query")<Query, {
  /** The tenant with this pubkey, or `None`. Fails with a `ParseError` if the pubkey is malformed. */
  readonly tenant: (pubkey: string) => Read<Option.Option<Tenant>>
  /** All tenants, ordered by pubkey. */
  readonly tenants: Effect.Effect<ReadonlyArray<Tenant>, StorageError>
  /** The tenants that match, ordered by pubkey. Fails with a `ParseError` if the filter is malformed. */
  readonly findTenants: (filter?: typeof TenantFilter.Encoded) => Read<ReadonlyArray<Tenant>>
  /** The same as a stream, which reads them in pages. */
  readonly streamTenants: (filter?: typeof TenantFilter.Encoded) => Pages<Tenant>
  /** The relay with this id, or `None`. Fails with a `ParseError` if the id is malformed. */
  readonly relay: (id: string) => Read<Option.Option<Relay>>
  /** The relay with this subdomain, whatever its status, or `None`. Fails with a `ParseError` if it is malformed. */
  readonly relayBySubdomain: (subdomain: string) => Read<Option.Option<Relay>>
  /** The relays of a tenant, ordered by id. Fails with a `ParseError` if the pubkey is malformed. */
  readonly relaysOf: (pubkey: string) => Read<ReadonlyArray<Relay>>
  /** All relays, ordered by id. */
  readonly relays: Effect.Effect<ReadonlyArray<Relay>, StorageError>
  /** The relays that match, ordered by id. Fails with a `ParseError` if the filter is malformed. */
  readonly findRelays: (filter?: typeof RelayFilter.Encoded) => Read<ReadonlyArray<Relay>>
  /** The same as a stream, which reads them in pages. */
  readonly streamRelays: (filter?: typeof RelayFilter.Encoded) => Pages<Relay>
  /** The activity log, oldest first. Fails with a `ParseError` if the filter is malformed. */
  readonly activity: (filter?: typeof ActivityFilter.Encoded) => Read<ReadonlyArray<Activity>>
}>() {
  /** Builds the service on an adapter's reads and validates the arguments of callers. */
  static readonly make = (reads: Reads): typeof Query.Service => ({
    tenant: checked(Pubkey, reads.tenant),
    tenants: reads.findTenants({}),
    findTenants: (filter = {}) => checked(TenantFilter, reads.findTenants)(filter),
    streamTenants: (filter = {}) => paged(TenantFilter, reads.findTenants, ({ pubkey }) => pubkey)(filter),
    relay: checked(RelayId, reads.relay),
    relayBySubdomain: checked(Subdomain, reads.relayBySubdomain),
    relaysOf: checked(Pubkey, (tenant) => reads.findRelays({ tenant })),
    relays: reads.findRelays({}),
    findRelays: (filter = {}) => checked(RelayFilter, reads.findRelays)(filter),
    streamRelays: (filter = {}) => paged(RelayFilter, reads.findRelays, ({ id }) => id)(filter),
    activity: (filter = {}) => checked(ActivityFilter, reads.activity)(filter)
  })
}

const checked = <A, I, B, E>(schema: Schema.Schema<A, I>, read: (value: A) => Effect.Effect<B, E>) => {
  const decode = decodeInput(schema)
  return (value: I) => Effect.flatMap(decode(value), read)
}

/** The number of rows that a stream reads at once. */
const pageSize = 500

/**
 * A stream of pages, each after the key of the last row of the previous one. Timers and sockets have their turn between
 * two pages.
 */
const paged = <
  Filter extends { readonly after?: Key | undefined; readonly limit?: number | undefined },
  I,
  Row,
  Key,
  E
>(
  schema: Schema.Schema<Filter, I>,
  read: (filter: Filter) => Effect.Effect<ReadonlyArray<Row>, E>,
  keyOf: (row: Row) => Key
) => {
  const decode = decodeInput(schema)
  return (input: I) =>
    Stream.unwrap(Effect.map(decode(input), (first) =>
      Stream.paginateChunkEffect(first, (filter) => {
        const { limit = Infinity } = filter
        const size = Math.min(limit, pageSize)
        const page = read({ ...filter, limit: size })
        return Effect.map(filter === first ? page : Effect.zipRight(nextTurn, page), (rows) => [
          Chunk.unsafeFromArray(rows),
          rows.length < size || limit === size
            ? Option.none()
            : Option.some({ ...filter, after: keyOf(rows[rows.length - 1]!), limit: limit - size })
        ])
      })))
}
