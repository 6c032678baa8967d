import {
  currentInstant,
  type EpochStart,
  type Kept,
  makeEpoch,
  Position,
  type RecordedEvent,
  type Refusal,
  type SecretId,
  type State,
  stateOf
} from "@caravel/domain"
import { Context, DateTime, Effect, Layer, type Redacted } from "effect"

/** What there is: the journal, its projection, and the secrets beside it. */
export class Store extends Context.Tag("@caravel/memory/Store")<Store, {
  state: State
  /** Nothing is restored in memory, so there is one epoch. */
  readonly start: EpochStart
  /** The event at position n has index n - 1. */
  readonly events: Array<RecordedEvent>
  /** The latest instant of all events up to each, in milliseconds. */
  readonly latest: Array<number>
  /** The same by resource, and those that are metered by tenant. */
  readonly ofResource: Map<string, Array<RecordedEvent>>
  readonly ofTenant: Map<string, Array<RecordedEvent>>
  readonly secrets: Map<SecretId, Redacted.Redacted>
  /** By scope and key, in the order in which they were first used. */
  readonly keys: Map<string, KeptUntil>
}>() {}

/** What became of a command with a key, and how long that is remembered. */
export interface KeptUntil extends Kept<ReadonlyArray<RecordedEvent>, Refusal> {
  readonly until: DateTime.Utc
}

/** An empty store for each build of the layer. */
export const layerStore = Layer.effect(
  Store,
  // It says nothing of the past, so any clock will do.
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
