import {
  type EpochStart,
  Position,
  type RecordedEvent,
  type Refusal,
  type SecretId,
  type State,
  stateOf
} from "@caravel/domain"
import { currentInstant, type Kept, makeEpoch } from "@caravel/domain/adapter"
import { Context, DateTime, Effect, Layer, type Redacted } from "effect"

/** The data: the journal, its projection, and the secrets. */
export class Store extends Context.Tag("@caravel/memory/Store")<Store, {
  state: State
  /** Memory is never restored, so there is only one epoch. */
  readonly start: EpochStart
  /** The event at position n has index n - 1. */
  readonly events: Array<RecordedEvent>
  /** For each event, the latest instant of the events up to it, in milliseconds. */
  readonly latest: Array<number>
  /** The events by resource, and the metered events by tenant. */
  readonly ofResource: Map<string, Array<RecordedEvent>>
  readonly ofTenant: Map<string, Array<RecordedEvent>>
  readonly secrets: Map<SecretId, Redacted.Redacted>
  /** Idempotency keys with their scopes, in the order of their first use. */
  readonly keys: Map<string, KeptUntil>
}>() {}

/** The outcome of a submission with a key, and the instant until which it is kept. */
export interface KeptUntil extends Kept<ReadonlyArray<RecordedEvent>, Refusal> {
  readonly until: DateTime.Utc
}

/** An empty store for each build of the layer. */
export const layerStore = Layer.effect(
  Store,
  // The start of the epoch is informational, so any instant will do if the clock is out of range.
  Effect.zipWith(makeEpoch, Effect.orElseSucceed(currentInstant, () => DateTime.unsafeMake(0)), (epoch, startedAt) => ({
    state: stateOf([], []),
    start: { epoch, position: Position.make(0), startedAt },
    events: [],
    latest: [],
    ofResource: new Map(),
    ofTenant: new Map(),
    secrets: new Map(),
    keys: new Map()
  }))
)
