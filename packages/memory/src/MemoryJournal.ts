import {
  type Drift,
  evolve,
  isRepairable,
  Journal,
  Position,
  ResourceType,
  type SecretId,
  stateOf,
  StorageError,
  type Verification
} from "@caravel/domain"
import {
  branded,
  clockJumps,
  defaultClockTolerance,
  isImport,
  resourceKey,
  resources,
  ResourceVerifier,
  unexpectedRow,
  unexpectedSecret
} from "@caravel/domain/adapter"
import { Array as Arr, Effect, HashMap, Layer, Order, Record as Rec, Stream } from "effect"
import { Store } from "./internal/Store.js"

const keyOf = ({ resourceId, resourceType }: Pick<Drift, "resourceId" | "resourceType">) =>
  `${resourceId} ${resourceType}`

type Row = { readonly [field: string]: unknown }

/** Compares all rows in one step. Also returns whether all events are sound. */
const compare = ({ events, secrets, state }: typeof Store.Service) => {
  const drifts: Array<Drift> = []
  const verifiers = new Map<string, ResourceVerifier>()
  for (const event of events) {
    const { resourceId, resourceType } = event
    const key = keyOf(event)
    const verifier = verifiers.get(key) ?? new ResourceVerifier(resourceType, resourceId, (drift) => drifts.push(drift))
    verifiers.set(key, verifier)
    verifier.add(event)
  }

  const rows = Rec.map(resources, ({ collection }) => new Map(HashMap.toEntries<string, Row>(state[collection])))
  const references = new Set<string>()
  for (const [, verifier] of Arr.sortWith(verifiers, ([key]) => key, Order.string)) {
    const { isSound, resourceId, resourceType, secret } = verifier
    verifier.compare(rows[resourceType].get(resourceId), (id) => secrets.has(id))
    if (isSound && secret !== null) references.add(secret)
  }
  // Relays first, as they refer to tenants.
  for (const resourceType of Arr.reverse(ResourceType.literals)) {
    for (const [resourceId, row] of rows[resourceType]) {
      if (!verifiers.has(keyOf({ resourceId, resourceType }))) {
        drifts.push(unexpectedRow(resourceType, resourceId, row))
      }
    }
  }
  for (const id of secrets.keys()) {
    if (references.has(id)) continue
    const setBy = events.find((event) => event.id as string === id)
    drifts.push(unexpectedSecret(id, setBy?.position ?? Position.make(0)))
  }
  const step: Verification = {
    events: events.length,
    head: Position.make(events.length),
    tenants: rows.tenant.size,
    relays: rows.relay.size,
    secrets: secrets.size,
    differences: drifts,
    // Imported rows keep the instants of their source.
    clocks: clockJumps(events, -Infinity, defaultClockTolerance)
      .filter(({ position }) => !isImport(events[position - 1]!._tag))
  }
  return { step, isSound: Arr.fromIterable(verifiers.values()).every(({ isSound }) => isSound) }
}

/**
 * Replaces the rows with the result of the events if any differ. Returns the number of rows and secrets that differed.
 */
const repair = (store: typeof Store.Service, drifts: ReadonlyArray<Drift>) => {
  const repairable = drifts.filter(isRepairable)
  if (repairable.length > 0) store.state = store.events.reduce(evolve, stateOf([], []))
  for (const { resourceId, resourceType } of repairable) {
    if (resourceType === "secret") store.secrets.delete(branded<SecretId>(resourceId))
  }
  return new Set(repairable.map(keyOf)).size
}

/** A journal in an array. */
export const layer: Layer.Layer<Journal, never, Store> = Layer.effect(
  Journal,
  Effect.map(Store, (store) => ({
    read: (position, limit) => Effect.sync(() => store.events.slice(position, position + Math.max(limit, 0))),
    at: (positions) =>
      Effect.sync(() => Arr.sort(new Set(positions), Order.number).flatMap((at) => store.events[at - 1] ?? [])),
    head: Effect.sync(() => Position.make(store.events.length)),
    positionAt: ({ epochMillis }) =>
      Effect.sync(() => {
        const index = store.latest.findIndex((latest) => latest > epochMillis)
        return Position.make(index === -1 ? store.latest.length : index)
      }),
    epoch: Effect.succeed(store.start.epoch),
    epochs: Effect.succeed([store.start]),
    readResource: (resource, version, limit) =>
      // The event of version n has index n - 1.
      Effect.sync(() =>
        store.ofResource.get(resourceKey(resource))?.slice(version, version + Math.max(limit, 0)) ?? []
      ),
    readTenant: (tenant, position, limit) =>
      Effect.sync(() =>
        Arr.take(store.ofTenant.get(tenant)?.filter((event) => event.position > position) ?? [], limit)
      ),
    verify: Stream.fromEffect(Effect.sync(() => compare(store).step)),
    rebuild: (onStep = () => Effect.void) =>
      Effect.suspend(() => {
        const { isSound, step } = compare(store)
        if (!isSound) {
          const cause = new Error("the events are damaged or missing, as verify reports; nothing was changed")
          return new StorageError({ reason: "corrupt", operation: "Journal.rebuild", cause })
        }
        const written = repair(store, step.differences)
        return Effect.as(onStep(step), written)
      })
  }))
)
