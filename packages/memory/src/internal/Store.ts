import { type RecordedEvent, type SecretId, type State, stateOf } from "@caravel/domain"
import { Context, Layer, type Redacted } from "effect"

/** What there is: the journal, its projection, and the secrets beside it. */
export class Store extends Context.Tag("@caravel/memory/Store")<Store, {
  state: State
  /** The event at position n has index n - 1. */
  readonly events: Array<RecordedEvent>
  readonly secrets: Map<SecretId, Redacted.Redacted>
}>() {}

/** An empty store, of whoever builds the layer. */
export const layerStore = Layer.sync(Store, () => ({ state: stateOf([], []), events: [], secrets: new Map() }))
