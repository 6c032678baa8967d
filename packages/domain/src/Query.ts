import { Context, Effect, type Option, type ParseResult, Schema } from "effect"
import type { StorageError } from "./command/CommandError.js"
import { type Activity, ActivityType, Position } from "./model/Activity.js"
import { decodeInput } from "./model/Decoding.js"
import { type Relay, RelayId, Subdomain } from "./model/Relay.js"
import { Pubkey, type Tenant } from "./model/Tenant.js"

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

/** The reads that an adapter implements. Their arguments have already been validated. */
interface Reads {
  readonly tenant: (pubkey: Pubkey) => Effect.Effect<Option.Option<Tenant>, StorageError>
  readonly tenants: Effect.Effect<ReadonlyArray<Tenant>, StorageError>
  readonly relay: (id: RelayId) => Effect.Effect<Option.Option<Relay>, StorageError>
  readonly relayBySubdomain: (subdomain: Subdomain) => Effect.Effect<Option.Option<Relay>, StorageError>
  readonly relaysOf: (pubkey: Pubkey) => Effect.Effect<ReadonlyArray<Relay>, StorageError>
  readonly relays: Effect.Effect<ReadonlyArray<Relay>, StorageError>
  readonly activity: (filter: ActivityFilter) => Effect.Effect<ReadonlyArray<Activity>, StorageError>
}

type Read<A> = Effect.Effect<A, StorageError | ParseResult.ParseError>

/**
 * Reads of tenants, relays and the activity log. Inside the caller's own transaction, reads see its writes; elsewhere
 * they see committed data. They never wait for a writer.
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
  /** The relay with this id, or `None`. Fails with a `ParseError` if the id is malformed. */
  readonly relay: (id: string) => Read<Option.Option<Relay>>
  /** The relay with this subdomain, whatever its status, or `None`. Fails with a `ParseError` if it is malformed. */
  readonly relayBySubdomain: (subdomain: string) => Read<Option.Option<Relay>>
  /** The relays of a tenant, ordered by id. Fails with a `ParseError` if the pubkey is malformed. */
  readonly relaysOf: (pubkey: string) => Read<ReadonlyArray<Relay>>
  /** All relays, ordered by id. */
  readonly relays: Effect.Effect<ReadonlyArray<Relay>, StorageError>
  /** The activity log, oldest first. Fails with a `ParseError` if the filter is malformed. */
  readonly activity: (filter?: typeof ActivityFilter.Encoded) => Read<ReadonlyArray<Activity>>
}>() {
  /** Builds the service on an adapter's reads and validates the arguments of callers. */
  static readonly make = (reads: Reads): typeof Query.Service => ({
    tenant: checked(Pubkey, reads.tenant),
    tenants: reads.tenants,
    relay: checked(RelayId, reads.relay),
    relayBySubdomain: checked(Subdomain, reads.relayBySubdomain),
    relaysOf: checked(Pubkey, reads.relaysOf),
    relays: reads.relays,
    activity: (filter = {}) => checked(ActivityFilter, reads.activity)(filter)
  })
}

const checked = <A, I, B, E>(schema: Schema.Schema<A, I>, read: (value: A) => Effect.Effect<B, E>) => {
  const decode = decodeInput(schema)
  return (value: I) => Effect.flatMap(decode(value), read)
}
