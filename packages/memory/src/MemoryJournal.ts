import {
  clockJumps,
  defaultClockTolerance,
  type Drift,
  evolve,
  Fold,
  isMendable,
  Journal,
  Position,
  resourceKey,
  type SecretId,
  stateOf,
  StorageError,
  unexpectedRow,
  unexpectedSecret,
  type Verification
} from "@caravel/domain"
import { Array, Effect, HashMap, Layer, Order, Stream } from "effect"
import { Store } from "./internal/Store.js"

const keyOf = ({ resourceId, resourceType }: Pick<Drift, "resourceId" | "resourceType">) =>
  `${resourceId} ${resourceType}`

/** All in one step, and whether all events are sound. */
const compare = ({ events, secrets, state }: typeof Store.Service) => {
  const differences: Array<Drift> = []
  const folds = new Map<string, Fold>()
  for (const event of events) {
    const { resourceId, resourceType } = event
    const key = keyOf(event)
    const fold = folds.get(key) ?? new Fold(resourceType, resourceId, (found) => differences.push(found))
    folds.set(key, fold)
    fold.add(event)
  }

  const rows = {
    tenant: new Map<string, { readonly [field: string]: unknown }>(
      HashMap.toEntries(state.tenants).map(([id, row]) => [id, { ...row }])
    ),
    relay: new Map<string, { readonly [field: string]: unknown }>(
      HashMap.toEntries(state.relays).map(([id, row]) => [id, { ...row }])
    )
  }
  const references = new Set<string>()
  for (const [, fold] of Array.sortWith(folds, ([key]) => key, Order.string)) {
    const { isSound, resourceId, resourceType, secret } = fold
    fold.compare(rows[resourceType].get(resourceId), (id) => secrets.has(id))
    if (isSound && secret !== null) references.add(secret)
  }
  for (const resourceType of ["relay", "tenant"] as const) {
    for (const [resourceId, row] of rows[resourceType]) {
      if (!folds.has(keyOf({ resourceId, resourceType }))) {
        differences.push(unexpectedRow(resourceType, resourceId, row))
      }
    }
  }
  for (const id of secrets.keys()) {
    const setBy = events.find((event) => event.id as string === id)
    if (!references.has(id)) differences.push(unexpectedSecret(id, setBy?.position ?? Position.make(0)))
  }
  const step: Verification = {
    events: events.length,
    head: Position.make(events.length),
    tenants: rows.tenant.size,
    relays: rows.relay.size,
    secrets: secrets.size,
    differences,
    clocks: clockJumps(events, -Infinity, defaultClockTolerance)
  }
  return { step, isSound: Array.fromIterable(folds.values()).every(({ isSound }) => isSound) }
}

/** Writes what the events come to in the place of the rows, if any differ. Gives how many did. */
const mend = (store: typeof Store.Service, differences: ReadonlyArray<Drift>) => {
  const mended = differences.filter(isMendable)
  if (mended.length > 0) store.state = store.events.reduce(evolve, stateOf([], []))
  for (const { resourceId, resourceType } of mended) {
    if (resourceType === "secret") store.secrets.delete(resourceId as SecretId)
  }
  return new Set(mended.map(keyOf)).size
}

/** The journal in an array. */
export const layer: Layer.Layer<Journal, never, Store> = Layer.effect(
  Journal,
  Effect.map(Store, (store) => ({
    read: (position, limit) => Effect.sync(() => store.events.slice(position, position + limit)),
    at: (positions) =>
      Effect.sync(() => Array.sort(new Set(positions), Order.number).flatMap((at) => store.events[at - 1] ?? [])),
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
      Effect.sync(() => store.ofResource.get(resourceKey(resource))?.slice(version, version + limit) ?? []),
    readTenant: (tenant, position, limit) =>
      Effect.sync(() =>
        Array.take(store.ofTenant.get(tenant)?.filter((event) => event.position > position) ?? [], limit)
      ),
    verify: Stream.fromEffect(Effect.sync(() => compare(store).step)),
    rebuild: (onStep = () => Effect.void) =>
      Effect.suspend(() => {
        const { isSound, step } = compare(store)
        if (!isSound) {
          const cause = new Error("the events are damaged or missing, as verify tells; nothing was changed")
          return new StorageError({ reason: "corrupt", operation: "Journal.rebuild", cause })
        }
        const written = mend(store, step.differences)
        return Effect.as(onStep(step), written)
      })
  }))
)
