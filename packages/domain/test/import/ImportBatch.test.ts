/** Given rows of another database, when its activities and rows are added, then these events result. */
import { defaultRelayOptions, evolve, type Pubkey, type RelayId, type State, type Subdomain } from "@caravel/domain"
import { type ActivityRow, type Batch, ImportBatch, type RelayRow, type TenantRow } from "@caravel/domain/adapter"
import { describe, expect, it } from "@effect/vitest"
import { Either, HashMap, Redacted } from "effect"
import { alice, createAlice, createOne, empty, eventId, given, instant, url } from "../given.js"

const tenant: TenantRow = {
  pubkey: alice as Pubkey,
  nwcUrl: Redacted.make(url),
  nwcError: "no funds",
  stripeCustomerId: "cus",
  stripeSubscriptionId: "sub",
  pastDueAt: instant(5),
  createdAt: instant(1)
}

const relay: RelayRow = {
  id: "one" as RelayId,
  tenant: tenant.pubkey,
  subdomain: "uno" as Subdomain,
  ...defaultRelayOptions,
  status: "inactive",
  synced: true,
  syncError: "late",
  stripeSubscriptionItemId: "si",
  createdAt: instant(2)
}

const activity = (n: number, activityType: ActivityRow["activityType"], formerId?: string): ActivityRow => ({
  id: eventId(n),
  formerId,
  tenant: tenant.pubkey,
  createdAt: instant(n),
  activityType,
  ...activityType.endsWith("tenant")
    ? { resourceType: "tenant", resourceId: tenant.pubkey }
    : { resourceType: "relay", resourceId: relay.id }
})

/** The batch that results from these additions, given this state and these rows. */
const imported = (
  add: (batch: ImportBatch) => ReadonlyArray<Either.Either<void, unknown>>,
  row: Partial<RelayRow> = {},
  state: State = empty
): Batch => {
  const batch = new ImportBatch({
    state,
    foreign: new Set(),
    ids: new Set(),
    tenants: new Map([[alice, Either.right(tenant)]]),
    relays: new Map([["one", Either.right({ ...relay, ...row })]]),
    startedAt: instant(1000),
    metadata: { correlationId: "import" },
    idOf: (name) => eventId(name.length)
  })
  for (const added of add(batch)) expect(added).toEqual(Either.void)
  return batch.batch
}

const log = (...types: ReadonlyArray<ActivityRow["activityType"]>) => (batch: ImportBatch) =>
  types.map((type, n) => batch.addActivity(activity(n + 10, type)))

const told = ({ events }: Batch) =>
  events.map(({ _tag, changes, version }) => [_tag, version, "status" in changes ? changes.status : undefined])

describe("an import", () => {
  it("starts with the values of the row, at its logged creation if there is one", () => {
    const { events, secrets } = imported(log("create_tenant", "create_relay"))
    const { pubkey: _, ...fields } = tenant
    expect(events[0]).toMatchObject({
      _tag: "TenantImported",
      id: eventId(10),
      createdAt: instant(10),
      version: 1,
      metadata: { correlationId: "import" },
      changes: { ...fields, nwcUrl: eventId(10) }
    })
    expect(secrets).toEqual([{ id: eventId(10), value: tenant.nwcUrl }])
    expect(events[1]).toMatchObject({
      _tag: "RelayImported",
      changes: { status: "active", synced: false, syncError: "", stripeSubscriptionItemId: "si", createdAt: instant(2) }
    })
    const unlogged = imported((batch) => [batch.addRelay("one")])
    expect(unlogged.events).toMatchObject([
      { _tag: "TenantReconciled", createdAt: instant(1) },
      {
        _tag: "RelayReconciled",
        createdAt: instant(2),
        changes: { status: "inactive", synced: true, syncError: "late" }
      }
    ])
  })

  it("ends with the values of the row, and adds no event if the log leads to them", () => {
    const all = (batch: ImportBatch) => [
      ...log("create_tenant", "create_relay", "deactivate_relay")(batch),
      batch.addTenant(alice),
      batch.addRelay("one")
    ]
    const reconciled = imported(all)
    expect(told(reconciled).slice(2)).toEqual([["RelayDeactivated", 2, "inactive"], ["RelayReconciled", 3, "inactive"]])
    expect(reconciled.events[3]).toMatchObject({
      createdAt: instant(1000),
      changes: { synced: true, syncError: "late" }
    })
    expect(told(imported(all, { synced: false, syncError: "" })).slice(2)).toEqual([[
      "RelayDeactivated",
      2,
      "inactive"
    ]])
    const { events, state } = reconciled
    expect(HashMap.unsafeGet(state.relays, relay.id)).toEqual({ ...relay, version: 3 })
    expect(events.reduce(evolve, empty)).toEqual(state)
  })

  it("reproduces the commands of the log, with the values that the row still has", () => {
    const types = [
      "update_relay",
      "deactivate_relay",
      "activate_relay",
      "complete_relay_sync",
      "fail_relay_sync"
    ] as const
    const tags = (row: Partial<RelayRow>) =>
      imported(log(...types), row).events.slice(2).map(({ _tag, changes }) => [_tag, changes])
    expect(tags({})).toEqual([
      ["RelayUpdated", {}],
      ["RelayDeactivated", { status: "inactive" }],
      ["RelayActivated", { status: "active" }],
      ["RelaySyncCompleted", { synced: true, syncError: "" }],
      ["RelaySyncFailed", { syncError: "late" }]
    ])
    expect(tags({ status: "delinquent", syncError: "" })).toMatchObject([
      {},
      ["RelayMarkedDelinquent", { status: "delinquent" }],
      {},
      {},
      ["RelaySyncFailed", { syncError: "unknown" }]
    ])
    expect(imported(log("create_tenant", "update_tenant")).events[1]).toMatchObject({
      _tag: "TenantUpdated",
      changes: {}
    })
  })

  it("records each logged creation, even a repeated one", () => {
    const { events, secrets } = imported(log("update_tenant", "create_tenant", "create_relay", "create_relay"))
    expect(events.map(({ _tag, version }) => [_tag, version])).toEqual([
      ["TenantReconciled", 1],
      ["TenantUpdated", 2],
      ["TenantImported", 3],
      ["RelayImported", 1],
      ["RelayImported", 2]
    ])
    expect(secrets.length).toBe(1)
  })

  it("keeps an id that is not a valid event id as the causation id", () => {
    const { events } = imported((batch) => [batch.addActivity(activity(10, "create_tenant", "17"))])
    expect(events[0]!.metadata).toEqual({ correlationId: "import", causationId: "17" })
  })

  it("continues from resources that exist already", () => {
    expect(told(imported(log("deactivate_relay"), {}, given(createAlice, createOne)))).toEqual([
      ["RelayDeactivated", 2, "inactive"]
    ])
  })
})
