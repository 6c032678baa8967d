import { Context, Effect, type Option, type ParseResult, Schema } from "effect"
import type { StorageError } from "./command/CommandError.js"
import { type Activity, ActivityType, Position } from "./model/Activity.js"
import { type Relay, RelayId, Subdomain } from "./model/Relay.js"
import { Pubkey, type Tenant } from "./model/Tenant.js"

/**
 * Which activities to read.
 *
 * @since 0.1.0
 * @category models
 */
export const ActivityFilter = Schema.Struct({
  /** After this position; from the beginning if absent. */
  after: Schema.optionalWith(Position, { default: () => Position.make(0) }),
  /** Up to and including this position. */
  upTo: Schema.optional(Position),
  /** At most so many; all if absent. */
  limit: Schema.optional(Schema.NonNegativeInt),
  tenant: Schema.optional(Pubkey),
  /** Of this type, or of one of these. */
  activityType: Schema.optional(Schema.Union(ActivityType, Schema.Array(ActivityType))),
  resourceId: Schema.optional(Schema.Union(Pubkey, RelayId))
})

/**
 * @since 0.1.0
 * @category models
 */
export interface ActivityFilter extends Schema.Schema.Type<typeof ActivityFilter> {}

/** What an adapter fills: the same reads over values that have been checked. */
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
 * Reads of tenants, relays and the activity log. Inside the caller's own transaction they see its writes; elsewhere,
 * what is committed. They never wait for a writer.
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
  readonly tenant: (pubkey: string) => Read<Option.Option<Tenant>>
  /** All tenants, by pubkey. */
  readonly tenants: Effect.Effect<ReadonlyArray<Tenant>, StorageError>
  readonly relay: (id: string) => Read<Option.Option<Relay>>
  readonly relayBySubdomain: (subdomain: string) => Read<Option.Option<Relay>>
  /** A tenant's relays, by id. */
  readonly relaysOf: (pubkey: string) => Read<ReadonlyArray<Relay>>
  /** All relays, by id. */
  readonly relays: Effect.Effect<ReadonlyArray<Relay>, StorageError>
  /** The activity log, oldest first. */
  readonly activity: (filter?: typeof ActivityFilter.Encoded) => Read<ReadonlyArray<Activity>>
}>() {
  /** The service over an adapter's reads: it checks what callers pass. */
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
  const decode = Schema.decode(schema)
  return (value: I) => Effect.flatMap(decode(value), read)
}
