import { type CommandRequest, type CommandTag, type Event, evolve, type RelayId, type State } from "@caravel/domain"
import { commandTable } from "@caravel/domain/adapter"
import { describe, expect, it } from "@effect/vitest"
import { Either, HashMap, Option } from "effect"
import {
  alice,
  bob,
  command,
  createAlice,
  createBob,
  createOne,
  empty,
  eventId,
  given,
  instant,
  tags,
  url,
  when
} from "../given.js"

const relayDefaults = {
  plan: "free",
  infoName: "",
  infoIcon: "",
  infoDescription: "",
  policyPublicJoin: false,
  policyStripSignatures: false,
  groupsEnabled: false,
  managementEnabled: false,
  blossomEnabled: false,
  livekitEnabled: false,
  pushEnabled: false
}

const unprovisioned = { status: "active", synced: false, syncError: "", stripeSubscriptionItemId: null }

const both = given(createAlice, createBob, createOne)

interface Accepted {
  readonly given: State
  readonly when: readonly [CommandTag, object]
  readonly then: readonly [event: string, resourceId: string, version: number, changes: object]
}

const accepted: ReadonlyArray<Accepted> = [
  {
    given: empty,
    when: ["CreateTenant", { pubkey: alice }],
    then: ["TenantCreated", alice, 1, {
      nwcUrl: null,
      nwcError: null,
      stripeCustomerId: null,
      stripeSubscriptionId: null,
      pastDueAt: null
    }]
  },
  {
    given: given(createBob),
    when: ["CreateTenant", { pubkey: alice, nwcUrl: url, stripeCustomerId: "cus" }],
    then: ["TenantCreated", alice, 1, {
      nwcUrl: eventId(1000),
      nwcError: null,
      stripeCustomerId: "cus",
      stripeSubscriptionId: null,
      pastDueAt: null
    }]
  },
  { given: both, when: ["UpdateTenant", { pubkey: alice }], then: ["TenantUpdated", alice, 2, {}] },
  {
    given: both,
    when: ["UpdateTenant", { pubkey: alice, nwcUrl: null }],
    then: ["TenantUpdated", alice, 2, { nwcUrl: null }]
  },
  {
    given: both,
    when: ["UpdateTenant", { pubkey: alice, nwcUrl: url, stripeCustomerId: null }],
    then: ["TenantUpdated", alice, 2, { nwcUrl: eventId(1000), stripeCustomerId: null }]
  },
  {
    given: both,
    when: ["UpdateTenant", { pubkey: alice, stripeCustomerId: "cus" }],
    then: ["TenantUpdated", alice, 2, { stripeCustomerId: "cus" }]
  },
  {
    given: both,
    when: ["CreateRelay", { id: "two", tenant: bob, subdomain: "dos", plan: null, pushEnabled: true }],
    then: ["RelayCreated", "two", 1, { subdomain: "dos", ...relayDefaults, pushEnabled: true, ...unprovisioned }]
  },
  { given: both, when: ["UpdateRelay", { id: "one" }], then: ["RelayUpdated", "one", 2, {}] },
  {
    given: both,
    when: ["UpdateRelay", { id: "one", subdomain: "uno", plan: "growth" }],
    then: ["RelayUpdated", "one", 2, { subdomain: "uno", plan: "growth" }]
  },
  {
    given: both,
    when: ["UpdateRelay", { id: "one", subdomain: "free", plan: null, infoName: "", policyPublicJoin: null }],
    then: ["RelayUpdated", "one", 2, { subdomain: "free", plan: "free", infoName: "", policyPublicJoin: false }]
  },
  {
    given: both,
    when: ["UpdateRelay", { id: "one", subdomain: undefined, plan: undefined }],
    then: ["RelayUpdated", "one", 2, {}]
  },
  {
    given: both,
    when: ["DeactivateRelay", { id: "one" }],
    then: ["RelayDeactivated", "one", 2, { status: "inactive" }]
  },
  {
    given: both,
    when: ["MarkRelayDelinquent", { id: "one" }],
    then: ["RelayMarkedDelinquent", "one", 2, { status: "delinquent" }]
  },
  { given: both, when: ["ActivateRelay", { id: "one" }], then: ["RelayActivated", "one", 2, { status: "active" }] },
  {
    given: both,
    when: ["FailRelaySync", { id: "one", syncError: "no room" }],
    then: ["RelaySyncFailed", "one", 2, { syncError: "no room" }]
  },
  {
    given: both,
    when: ["CompleteRelaySync", { id: "one" }],
    then: ["RelaySyncCompleted", "one", 2, { synced: true, syncError: "" }]
  },
  {
    given: both,
    when: ["SetRelaySubscriptionItem", { id: "one", stripeSubscriptionItemId: "si" }],
    then: ["RelaySubscriptionItemSet", "one", 2, { stripeSubscriptionItemId: "si" }]
  },
  {
    given: both,
    when: ["DeleteRelaySubscriptionItem", { id: "one" }],
    then: ["RelaySubscriptionItemDeleted", "one", 2, { stripeSubscriptionItemId: null }]
  },
  {
    given: both,
    when: ["SetTenantSubscription", { pubkey: alice, stripeSubscriptionId: "sub" }],
    then: ["TenantSubscriptionSet", alice, 2, { stripeSubscriptionId: "sub" }]
  },
  {
    given: both,
    when: ["ClearTenantSubscription", { pubkey: alice }],
    then: ["TenantSubscriptionCleared", alice, 2, { stripeSubscriptionId: null }]
  },
  {
    given: both,
    when: ["SetTenantNwcError", { pubkey: alice, nwcError: "no route" }],
    then: ["TenantNwcErrorSet", alice, 2, { nwcError: "no route" }]
  },
  {
    given: both,
    when: ["ClearTenantNwcError", { pubkey: alice }],
    then: ["TenantNwcErrorCleared", alice, 2, { nwcError: null }]
  },
  {
    given: both,
    when: ["SetTenantPastDue", { pubkey: alice }],
    then: ["TenantPastDueSet", alice, 2, { pastDueAt: instant(1000) }]
  },
  {
    given: both,
    when: ["ClearTenantPastDue", { pubkey: alice }],
    then: ["TenantPastDueCleared", alice, 2, { pastDueAt: null }]
  }
]

const refused: ReadonlyArray<readonly [State, readonly [CommandTag, object], object]> = [
  [both, ["CreateTenant", { pubkey: alice }], { _tag: "TenantAlreadyExists", pubkey: alice }],
  [empty, ["CreateRelay", { id: "one", tenant: alice, subdomain: "uno" }], { _tag: "TenantNotFound", pubkey: alice }],
  [both, ["CreateRelay", { id: "one", tenant: bob, subdomain: "dos" }], { _tag: "RelayAlreadyExists", id: "one" }],
  [both, ["CreateRelay", { id: "one", tenant: bob, subdomain: "uno" }], { _tag: "RelayAlreadyExists", id: "one" }],
  [both, ["CreateRelay", { id: "two", tenant: bob, subdomain: "uno" }], { _tag: "SubdomainTaken", subdomain: "uno" }],
  [both, ["UpdateRelay", { id: "two", subdomain: "uno" }], { _tag: "RelayNotFound", id: "two" }],
  [
    given(createAlice, createOne, command("CreateRelay", { id: "two", tenant: alice, subdomain: "dos" })),
    ["UpdateRelay", { id: "two", subdomain: "uno" }],
    { _tag: "SubdomainTaken", subdomain: "uno" }
  ]
]

describe("decide accepts", () => {
  for (const { given, then: [event, resourceId, version, changes], when: [tag, payload] } of accepted) {
    it(`${tag} ${JSON.stringify({ ...payload, pubkey: undefined })}: ${event}`, () => {
      const { activity: _, resource } = commandTable[tag]
      expect(when(given, command(tag, payload))).toEqual(Either.right({
        _tag: event,
        id: eventId(1000),
        tenant: tag === "CreateRelay" ? bob : alice,
        resourceType: resource,
        resourceId,
        version,
        createdAt: instant(1000),
        metadata: {},
        changes
      }))
    })
  }

  it("every command, in the cases above", () => {
    expect(new Set(accepted.map(({ when }) => when[0]))).toEqual(new Set(tags))
  })
})

describe("decide refuses", () => {
  for (const [given, [tag, payload], error] of refused) {
    it(`${tag} ${JSON.stringify({ ...payload, tenant: undefined, pubkey: undefined })}: ${JSON.stringify(error)}`, () => {
      expect(Either.flip(when(given, command(tag, payload)))).toMatchObject({ _tag: "Right", right: error })
    })
  }

  for (const { when: [tag, payload] } of accepted) {
    if (tag === "CreateTenant" || tag === "CreateRelay") continue
    it(`${tag} of a resource that does not exist`, () => {
      const error = Option.getOrThrow(Either.getLeft(when(empty, command(tag, payload))))
      expect(error._tag).toBe(commandTable[tag].resource === "tenant" ? "TenantNotFound" : "RelayNotFound")
    })
  }
})

const after = (...commands: ReadonlyArray<CommandRequest>) => {
  const { relays, subdomains, tenants } = given(...commands)
  return { relays: [...HashMap.values(relays)], subdomains: [...subdomains], tenants: [...HashMap.values(tenants)] }
}

describe("evolve", () => {
  it("creates a tenant, and then applies the changes of its events", () => {
    const tenant = {
      pubkey: alice,
      nwcUrl: null,
      nwcError: null,
      stripeCustomerId: null,
      stripeSubscriptionId: null,
      pastDueAt: null,
      createdAt: instant(0),
      version: 1
    }
    expect(after(createAlice)).toEqual({ relays: [], subdomains: [], tenants: [tenant] })
    const pastDue = command("SetTenantPastDue", { pubkey: alice })
    expect(after(createAlice, pastDue).tenants).toEqual([{ ...tenant, pastDueAt: instant(1), version: 2 }])
  })

  it("creates a relay, and then applies the changes of its events", () => {
    const relay = {
      id: "one",
      tenant: alice,
      subdomain: "uno",
      ...relayDefaults,
      ...unprovisioned,
      createdAt: instant(1),
      version: 1
    }
    const { relays, subdomains } = after(createAlice, createOne)
    expect([relays, subdomains]).toEqual([[relay], [["uno", "one"]]])
    const fail = command("FailRelaySync", { id: "one", syncError: "no room" })
    expect(after(createAlice, createOne, fail).relays).toEqual([{ ...relay, syncError: "no room", version: 2 }])
  })

  it("releases a subdomain when its relay moves to another one", () => {
    const move = command("UpdateRelay", { id: "one", subdomain: "dos" })
    expect(after(createAlice, createOne, move).subdomains).toEqual([["dos", "one"]])
    const back = command("UpdateRelay", { id: "one", subdomain: "uno" })
    expect(after(createAlice, createOne, move, back).subdomains).toEqual([["uno", "one"]])
  })

  it("changes nothing if the event's resource does not exist", () => {
    for (const { when: [tag, payload] } of accepted) {
      if (tag === "CreateTenant" || tag === "CreateRelay") continue
      const event: Event = Either.getOrThrow(when(both, command(tag, payload)))
      expect(evolve(empty, event)).toBe(empty)
    }
  })

  it("does not mutate the state that it receives", () => {
    const copy = JSON.stringify(HashMap.get(both.relays, "one" as RelayId))
    for (const { when: [tag, payload] } of accepted) {
      Either.map(when(both, command(tag, payload)), (event) => evolve(both, event))
    }
    expect(JSON.stringify(HashMap.get(both.relays, "one" as RelayId))).toBe(copy)
    expect([HashMap.size(both.tenants), HashMap.size(both.relays), HashMap.size(both.subdomains)]).toEqual([
      2,
      1,
      1
    ])
  })

  it("is deterministic, as decide is", () => {
    for (const { given, when: [tag, payload] } of accepted) {
      const [one, two] = [when(given, command(tag, payload)), when(given, command(tag, payload))]
      expect(one).toEqual(two)
    }
  })
})
