/** What a store can start with: a journal, or tenants and relays. */
import {
  type Event,
  EventId,
  evolve,
  type Relay,
  type SecretId,
  type State,
  stateOf,
  type Tenant
} from "@caravel/domain"
import type { Batch } from "@caravel/domain/adapter"
import { Array as Arr, DateTime, HashMap } from "effect"

export interface GivenJournal {
  readonly events: ReadonlyArray<Event>
  readonly secrets?: Batch["secrets"]
}

export interface GivenRows {
  readonly tenants?: ReadonlyArray<Tenant>
  readonly relays?: ReadonlyArray<Relay>
}

/** Converts the given data to a batch to record. Throws if tenants and relays contradict one another. */
export const batchOf = (given: GivenJournal | GivenRows): Batch => {
  const { events: recorded, secrets = [] } = "events" in given ? given : importOf(given)
  const events = recorded.map(withoutPosition)
  const state = stateAfter(events)
  const kept = new Set(Arr.map(Arr.fromIterable(HashMap.values(state.tenants)), ({ nwcUrl }) => nwcUrl))
  // Later events have replaced or cleared the others.
  return { events, state, secrets: secrets.filter(({ id }) => kept.has(id)), droppedSecrets: [] }
}

/** Events that were read from another journal have positions there. The store assigns others. */
const withoutPosition = ({ position: _, ...event }: Event & { readonly position?: unknown }): Event => event

const stateAfter = (events: ReadonlyArray<Event>): State => events.reduce(evolve, stateOf([], []))

/** One import event of each, in the order of their creation, each relay after its tenant. */
const importOf = ({ relays = [], tenants = [] }: GivenRows): GivenJournal => {
  const idOf = (index: number) => EventId.make(`00000000-0000-7000-8000-${String(index + 1).padStart(12, "0")}`)
  const ofTenants = tenants.map((tenant, index) => tenantImported(tenant, idOf(index)))
  const ofRelays = relays.map((relay, index) => relayImported(relay, idOf(tenants.length + index)))
  const created = new Map(tenants.map(({ createdAt, pubkey }) => [pubkey, createdAt]))
  const events = Arr.sortWith(
    [...ofTenants, ...ofRelays],
    ({ createdAt, tenant }) => DateTime.max(createdAt, created.get(tenant) ?? createdAt),
    DateTime.Order
  )
  checkState(stateAfter(events), { relays, tenants })
  return {
    events,
    secrets: tenants.flatMap(({ nwcUrl }, index) =>
      nwcUrl === null ? [] : [{ id: idOf(index) as string as SecretId, value: nwcUrl }]
    )
  }
}

const tenantImported = ({ nwcUrl, pubkey, version: _, ...row }: Tenant, id: EventId): Event => ({
  _tag: "TenantImported",
  id,
  tenant: pubkey,
  resourceType: "tenant",
  resourceId: pubkey,
  version: 1,
  createdAt: row.createdAt,
  metadata: {},
  changes: { ...row, nwcUrl: nwcUrl === null ? null : id as string as SecretId }
})

const relayImported = ({ id: relay, tenant, version: _, ...row }: Relay, id: EventId): Event => ({
  _tag: "RelayImported",
  id,
  tenant,
  resourceType: "relay",
  resourceId: relay,
  version: 1,
  createdAt: row.createdAt,
  metadata: {},
  changes: row
})

const checkState = (state: State, { relays, tenants }: Required<GivenRows>): void => {
  const refuse = (problem: string) => {
    throw new Error(`The given tenants and relays cannot exist together: ${problem}`)
  }
  if (HashMap.size(state.tenants) < tenants.length) refuse("two tenants have the same pubkey")
  if (HashMap.size(state.relays) < relays.length) refuse("two relays have the same id")
  if (HashMap.size(state.subdomains) < relays.length) refuse("two relays have the same subdomain")
  for (const { id, tenant } of relays) {
    if (!HashMap.has(state.tenants, tenant)) refuse(`the tenant ${tenant} of the relay ${id} is not given`)
  }
}
