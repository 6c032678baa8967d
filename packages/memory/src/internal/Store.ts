import {
  type EpochStart,
  Position,
  type RecordedEvent,
  type Refusal,
  type SecretId,
  type State,
  stateOf
} from "@caravel/domain"
import {
  type Batch,
  branded,
  currentInstant,
  isMetered,
  type Kept,
  makeEpoch,
  resourceKey
} from "@caravel/domain/adapter"
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

/** Records the events of a batch, the state after them and the secrets. Returns the events with their positions. */
export const record = (store: typeof Store.Service, batch: Batch): ReadonlyArray<RecordedEvent> => {
  const events = batch.events.map((event, index): RecordedEvent => ({
    position: branded<Position>(store.events.length + index + 1),
    ...event
  }))
  store.state = batch.state
  for (const event of events) {
    store.latest.push(Math.max(store.latest.at(-1) ?? -Infinity, event.createdAt.epochMillis))
    store.events.push(event)
    append(store.ofResource, resourceKey(event), event)
    if (isMetered(event._tag)) append(store.ofTenant, event.tenant, event)
  }
  for (const { id, value } of batch.secrets) store.secrets.set(id, value)
  for (const id of batch.droppedSecrets) store.secrets.delete(id)
  return events
}

const append = (events: Map<string, Array<RecordedEvent>>, name: string, event: RecordedEvent) => {
  const present = events.get(name)
  if (present === undefined) events.set(name, [event])
  else present.push(event)
}

const make: Effect.Effect<typeof Store.Service> =
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

/** An empty store for each build of the layer. */
export const layerStore = Layer.effect(Store, make)

/** A store that starts with a batch, for each build of the layer. */
export const layerStoreWith = (batch: () => Batch) =>
  Layer.effect(Store, Effect.tap(make, (store) => record(store, batch())))
