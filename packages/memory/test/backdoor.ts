import type { VerificationTest } from "@caravel/conformance"
import type { RelayId, RelayState, TenantState } from "@caravel/domain"
import { Effect, HashMap, Redacted } from "effect"
import { Store } from "../src/internal/Store.js"

type Row = Partial<TenantState & RelayState> | undefined

const update = ({ resourceId, resourceType }: VerificationTest.RowId, change: (row: Row) => Row) =>
  Effect.map(Store, (store) => {
    const rows = store.state[`${resourceType}s`] as HashMap.HashMap<string, object>
    const row = change(HashMap.unsafeGet(rows, resourceId))
    const changed = row === undefined
      ? HashMap.remove(rows, resourceId)
      : HashMap.set(HashMap.remove(rows, resourceId), row.pubkey ?? row.id ?? "", row)
    store.state = { ...store.state, [`${resourceType}s`]: changed }
  })

/** Direct access to the layer's store, without any checks. */
export const backdoor: VerificationTest.Backdoor<Store> = {
  dump: Effect.map(Store, ({ events, secrets, state }) =>
    JSON.parse(JSON.stringify({
      events,
      tenants: HashMap.toEntries(state.tenants).sort(),
      relays: HashMap.toEntries(state.relays).sort(),
      subdomains: HashMap.toEntries(state.subdomains).sort(),
      secrets: [...secrets].map(([id, value]) => [id, Redacted.value(value)]).sort()
    }))),
  change: (row, fields) => update(row, (before) => ({ ...before, ...fields })),
  copy: ({ resourceId, resourceType }, id) =>
    Effect.map(Store, (store) => {
      const rows = store.state[`${resourceType}s`] as HashMap.HashMap<string, object>
      const key = resourceType === "tenant" ? "pubkey" : "id"
      const copy = { ...HashMap.unsafeGet(rows, resourceId), [key]: id as RelayId }
      store.state = { ...store.state, [`${resourceType}s`]: HashMap.set(rows, id, copy) }
    }),
  remove: (row) => update(row, () => undefined),
  addSecret: (id, value) => Effect.map(Store, ({ secrets }) => void secrets.set(id, Redacted.make(value))),
  removeSecret: (id) => Effect.map(Store, ({ secrets }) => void secrets.delete(id))
}
