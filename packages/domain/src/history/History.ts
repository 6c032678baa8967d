import { Context, Effect, Either, HashMap, Layer, type Option, type ParseResult, Schema, Stream } from "effect"
import type { StorageError } from "../command/CommandError.js"
import type { State } from "../decide/Decider.js"
import { Journal } from "../journal/Journal.js"
import { type Position } from "../model/Activity.js"
import { type Instant, Moment, PositionAhead } from "../model/Moment.js"
import { RelayId, type RelayState } from "../model/Relay.js"
import { Resource } from "../model/Resource.js"
import { Pubkey, type TenantState } from "../model/Tenant.js"
import type { Difference, HistoryEntry } from "./Change.js"
import { differenceOf } from "./Differences.js"
import * as Replay from "./Replay.js"
import { Period, type Usage } from "./Usage.js"

/**
 * Which of a resource's events to read, and in which order.
 *
 * @since 0.1.0
 * @category models
 */
export const HistoryOptions = Schema.Struct({
  order: Schema.optionalWith(Schema.Literal("oldest", "newest"), { default: () => "oldest" }),
  /** Only what comes, in this order, after the event that made this version: the last one of the page before. */
  after: Schema.optional(Schema.NonNegativeInt),
  /** At most so many; all if absent. */
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
 * The journal's answers about the past. Everything is folded from events; the rows of the present are not looked at.
 *
 * A moment is a position or an instant, and each instant stands for a position: the last one before the journal's clocks
 * first passed the instant. Once the journal holds a later event, that position stays, whatever is appended: a later
 * instant never stands for an earlier position, and each answer was the state at some time, as a whole. The price is
 * that an event of a clock that was ahead hides what follows it from instants up to its own; positions reach everything.
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
  /** The events of a resource, with what each changed. It costs what the resource has, not what the journal has. */
  readonly events: (
    resource: typeof Resource.Encoded,
    options?: typeof HistoryOptions.Encoded
  ) => Stream.Stream<HistoryEntry, StorageError | ParseResult.ParseError>
  /** The position that a moment stands for. */
  readonly position: (at: At) => Read<Position>
  /** A tenant as it was. */
  readonly tenant: (pubkey: string, at: At) => Read<Option.Option<TenantState>>
  /** A relay as it was. */
  readonly relay: (id: string, at: At) => Read<Option.Option<RelayState>>
  /** Everything as it was, folded from the journal's beginning. */
  readonly state: (at: At) => Read<State>
  /** What differs from one moment to another, be it later or earlier: in one resource, or in all. */
  readonly diff: (from: At, to: At, resource?: typeof Resource.Encoded) => Read<ReadonlyArray<Difference>>
  /**
   * When each of a tenant's relays was active, on which plan: from `from` until just before `to`, by relay and time,
   * merged where nothing changed. What is active at the end of the journal stays so, also in the future.
   *
   * Only events that change a relay's state or plan count, each from its own instant. If the clock of one was wrong, only the
   * intervals that this event bounds are affected, and if it was wrong by more than the next two or the last two of these events, it counts
   * from its neighbour's instant. A relay is never on two plans at once: where intervals overlap, the earlier event's counts.
   */
  readonly usage: (
    tenant: string,
    from: typeof Instant.Encoded,
    to: typeof Instant.Encoded
  ) => Effect.Effect<ReadonlyArray<Usage>, StorageError | ParseResult.ParseError>
}>() {
  /** The service over a journal. */
  static readonly make = (journal: typeof Journal.Service): typeof History.Service => {
    const position = (at: At) => Effect.flatMap(decodeMoment(at), (at) => positionOf(journal, at))

    return {
      events: (resource, options = {}) =>
        Either.match(Either.all([decodeResource(resource), decodeOptions(options)]), {
          onLeft: Stream.fail,
          onRight: ([resource, { after, limit, order }]) =>
            Stream.take((order === "oldest" ? Replay.oldestFirst : Replay.newestFirst)(journal, resource, after), limit)
        }),

      position,
      tenant: (pubkey, at) =>
        Effect.gen(function*() {
          const resourceId = yield* decodePubkey(pubkey)
          const { tenants } = yield* Replay.resourceAt(
            journal,
            { resourceType: "tenant", resourceId },
            yield* position(at)
          )
          return HashMap.get(tenants, resourceId)
        }),
      relay: (id, at) =>
        Effect.gen(function*() {
          const resourceId = yield* decodeRelayId(id)
          const { relays } = yield* Replay.resourceAt(
            journal,
            { resourceType: "relay", resourceId },
            yield* position(at)
          )
          return HashMap.get(relays, resourceId)
        }),
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

  /** The service over an adapter's journal. */
  static readonly layer: Layer.Layer<History, never, Journal> = Layer.effect(History, Effect.map(Journal, History.make))
}

const decodeResource = Schema.decodeEither(Resource)
const decodeOptions = Schema.decodeEither(HistoryOptions)
const decodeMoment = Schema.decodeEither(Moment)
const decodePubkey = Schema.decodeEither(Pubkey)
const decodeRelayId = Schema.decodeEither(RelayId)
const decodePeriod = Schema.decodeEither(Period)

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
