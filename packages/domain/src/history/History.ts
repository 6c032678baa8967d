import { Context, Effect, Either, HashMap, Layer, type Option, type ParseResult, Schema, Stream } from "effect"
import type { StorageError } from "../command/CommandError.js"
import type { State } from "../decide/Decider.js"
import { Journal } from "../journal/Journal.js"
import { type Position } from "../model/Activity.js"
import { decodeInput } from "../model/Decoding.js"
import { type Instant, Moment, PositionAhead } from "../model/Moment.js"
import { RelayId, type RelayState } from "../model/Relay.js"
import { Resource } from "../model/Resource.js"
import { Pubkey, type TenantState } from "../model/Tenant.js"
import type { Difference, HistoryEntry } from "./Change.js"
import { differenceOf } from "./Differences.js"
import * as Replay from "./Replay.js"
import { Period, type Usage } from "./Usage.js"

/**
 * The order and the range of a resource's events to read.
 *
 * @since 0.1.0
 * @category models
 */
export const HistoryOptions = Schema.Struct({
  order: Schema.optionalWith(Schema.Literal("oldest", "newest"), { default: () => "oldest" }),
  /**
   * Only events that follow this version in the chosen order. For the next page, pass the last version of the previous
   * one.
   */
  after: Schema.optional(Schema.NonNegativeInt),
  /** At most this number of events; all if absent. */
  limit: Schema.optionalWith(Schema.NonNegativeInt, { default: () => Number.MAX_SAFE_INTEGER })
})

/**
 * @since 0.1.0
 * @category models
 */
export interface HistoryOptions extends Schema.Schema.Type<typeof HistoryOptions> {}

type At = typeof Moment.Encoded
type Read<A> = Effect.Effect<A, PositionAhead | StorageError | ParseResult.ParseError>

/**
 * Reads of the past. Every result is folded from events; the current rows are not read.
 *
 * A moment is a position or an instant. An instant resolves to the last position before the first event that is later
 * than the instant. Once such an event exists, the result never changes. A later instant never resolves to an earlier
 * position, and every result is a state that the journal had at some time. The drawback: if the clock of an event was
 * ahead, instants up to that event's instant do not reach the events after it. Positions reach all events.
 *
 * @example
 * ```ts
 * import * as assert from "node:assert"
 * import { Command, History } from "@caravel/domain"
 * import { Memory } from "@caravel/memory"
 * import { Effect, Option, Stream } from "effect"
 *
 * const pubkey = "ab".repeat(32)
 *
 * const program = Effect.gen(function*() {
 *   const command = yield* Command
 *   const history = yield* History
 *   yield* command.createTenant({ pubkey })
 *   const created = yield* command.createRelay({ id: "main", tenant: pubkey, subdomain: "main" })
 *   const updated = yield* command.updateRelay({ id: "main", plan: "growth" })
 *
 *   const [last] = yield* Stream.runCollect(history.events(updated, { order: "newest", limit: 1 }))
 *   assert.deepStrictEqual(last?.changes, [{ field: "plan", before: "free", after: "growth" }])
 *   const then = yield* history.relay("main", created.position)
 *   assert.deepStrictEqual(Option.map(then, ({ plan }) => plan), Option.some("free"))
 * })
 *
 * await Effect.runPromise(Effect.provide(program, Memory.layer))
 * ```
 *
 * @since 0.1.0
 * @category services
 */
export class History extends Context.Tag("@caravel/domain/History")<History, {
  /**
   * The events of a resource, each with its changes. The cost grows with the resource's events, not with the journal.
   */
  readonly events: (
    resource: typeof Resource.Encoded,
    options?: typeof HistoryOptions.Encoded
  ) => Stream.Stream<HistoryEntry, StorageError | ParseResult.ParseError>
  /** The position that a moment resolves to. */
  readonly position: (at: At) => Read<Position>
  /** The state of a tenant at a moment; `None` if it did not exist. */
  readonly tenant: (pubkey: string, at: At) => Read<Option.Option<TenantState>>
  /** The state of a relay at a moment; `None` if it did not exist. */
  readonly relay: (id: string, at: At) => Read<Option.Option<RelayState>>
  /** The state of all resources at a moment. It folds the journal from the beginning. */
  readonly state: (at: At) => Read<State>
  /** The differences from one moment to another, in either direction, of one resource or of all. */
  readonly diff: (from: At, to: At, resource?: typeof Resource.Encoded) => Read<ReadonlyArray<Difference>>
  /**
   * The intervals in which each of a tenant's relays was active, with the plan, from `from` (inclusive) to `to`
   * (exclusive). They are ordered by relay and time, and adjacent intervals on the same plan are merged. A relay that
   * is active at the end of the journal counts as active until `to`, even if `to` is in the future.
   *
   * Only events that change a relay's state or plan count, each from its own instant. An event with a wrong clock
   * affects only the intervals that it starts or ends. If its instant is later than the next two of these events, or
   * earlier than the previous two, the instant of its neighbour is used instead. If there is only one on that side,
   * that one suffices, provided that there is one on the other side. A relay is never on two plans at once: if
   * intervals overlap, the earlier event takes precedence.
   */
  readonly usage: (
    tenant: string,
    from: typeof Instant.Encoded,
    to: typeof Instant.Encoded
  ) => Effect.Effect<ReadonlyArray<Usage>, StorageError | ParseResult.ParseError>
}>() {
  /** Builds the service on a journal. */
  static readonly make = (journal: typeof Journal.Service): typeof History.Service => {
    const position = (at: At) => Effect.flatMap(decodeMoment(at), (at) => positionOf(journal, at))
    const resourceAt = (resource: Resource, at: At) =>
      Effect.flatMap(position(at), (position) => Replay.resourceAt(journal, resource, position))

    return {
      events: (resource, options = {}) =>
        Either.match(Either.all([decodeResource(resource), decodeOptions(options)]), {
          onLeft: Stream.fail,
          onRight: ([resource, { after, limit, order }]) =>
            Stream.take((order === "oldest" ? Replay.oldestFirst : Replay.newestFirst)(journal, resource, after), limit)
        }),

      position,
      tenant: (pubkey, at) =>
        Effect.flatMap(decodePubkey(pubkey), (resourceId) =>
          Effect.map(
            resourceAt({ resourceType: "tenant", resourceId }, at),
            ({ tenants }) => HashMap.get(tenants, resourceId)
          )),
      relay: (id, at) =>
        Effect.flatMap(decodeRelayId(id), (resourceId) =>
          Effect.map(
            resourceAt({ resourceType: "relay", resourceId }, at),
            ({ relays }) => HashMap.get(relays, resourceId)
          )),
      state: (at) => Effect.flatMap(position(at), (position) => Replay.stateAt(journal, position)),

      diff: (one, other, resource) =>
        Effect.gen(function*() {
          const from = yield* position(one)
          const to = yield* position(other)
          if (resource === undefined) return yield* Replay.differences(journal, from, to)
          const decoded = yield* decodeResource(resource)
          const before = yield* Replay.resourceAt(journal, decoded, from)
          const difference = differenceOf(decoded, before, yield* Replay.resourceAt(journal, decoded, to))
          return difference.changes.length > 0 ? [difference] : []
        }),

      usage: (pubkey, from, to) =>
        Effect.gen(function*() {
          const tenant = yield* decodePubkey(pubkey)
          return yield* Replay.usageOf(journal, tenant, yield* decodePeriod({ from, to }))
        })
    }
  }

  /** The service as a layer, built on an adapter's journal. */
  static readonly layer: Layer.Layer<History, never, Journal> = Layer.effect(History, Effect.map(Journal, History.make))
}

const decodeResource = decodeInput(Resource)
const decodeOptions = decodeInput(HistoryOptions)
const decodeMoment = decodeInput(Moment)
const decodePubkey = decodeInput(Pubkey)
const decodeRelayId = decodeInput(RelayId)
const decodePeriod = decodeInput(Period)

const positionOf = (
  journal: typeof Journal.Service,
  at: Moment
): Effect.Effect<Position, PositionAhead | StorageError> =>
  typeof at !== "number"
    ? journal.positionAt(at)
    : Effect.flatMap(
      journal.head,
      (head) => at <= head ? Effect.succeed(at) : new PositionAhead({ position: at, head })
    )
