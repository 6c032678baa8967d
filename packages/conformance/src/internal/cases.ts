/**
 * The seventeen commands as `command.md` and `model.md` define them. They are written out here, not derived from the
 * domain.
 */
import {
  alice,
  aliceUrl,
  bob,
  bobUrl,
  type MethodName,
  type Options,
  relayDefaults,
  tenantDefaults
} from "./fixture.js"

/** A command and its expected effect on the data of `furnished`. */
export interface Case {
  readonly method: MethodName
  readonly resource: "tenant" | "relay"
  readonly event: string
  readonly activity: string | null
  /** The arguments for the resource with this key. */
  readonly args: (key: string) => ReadonlyArray<unknown>
  /** The key of the resource, which exists in the data of `furnished` or is created by the command. */
  readonly key: string
  readonly creates?: true
  /** A command to run first, if the data of `furnished` already has the values that this command sets. */
  readonly given?: readonly [MethodName, ReadonlyArray<unknown>]
  /** The changed fields of the row. `now` stands for the command's instant. */
  readonly changes: object
  /** Arguments that are refused as malformed. */
  readonly malformed: ReadonlyArray<ReadonlyArray<unknown>>
}

const badPubkeys = ["", "A".repeat(64), "a".repeat(63), `${alice}\n`, 5, null, undefined]
const badRelayIds = ["", "with space", "x".repeat(65), "über", 7, null, undefined]
const badSubdomains = ["", "-a", "a-", "Upper", "x".repeat(64), "dot.ted", "a\n", 7]
const badTexts = ["nul\0", "\ud800", 5]
const badIds = ["", ...badTexts]
const badUrls = ["https://example.com", "nostr+walletconnect://", "nostr+walletconnect://a b", "", 5]
const badFlags = ["true", 1]
const badPlans = ["", "Free", "a b", "-", 7]
const absent = [null, undefined]

/** Objects with one malformed field each. */
const withField = (base: object, name: string, values: ReadonlyArray<unknown>) =>
  values.map((value) => [{ ...base, [name]: value }])

const badOptions = (base: object) => [
  ...withField(base, "plan", badPlans),
  ...["infoName", "infoIcon", "infoDescription"].flatMap((name) => withField(base, name, badTexts)),
  ...Object.entries(options).flatMap(([name, value]) => value === true ? withField(base, name, badFlags) : [])
]

const options = {
  plan: "basic",
  infoName: "Name",
  infoIcon: "https://example.com/icon.png",
  infoDescription: "Ünïcode ⛵ \"quoted\"",
  policyPublicJoin: true,
  policyStripSignatures: true,
  groupsEnabled: true,
  managementEnabled: true,
  blossomEnabled: true,
  livekitEnabled: true,
  pushEnabled: true
} satisfies Options

const tenant = { resource: "tenant", key: alice } as const
const relay = { resource: "relay", key: "relay-1" } as const
const byRelay = { args: (id: string) => [{ id }], malformed: withField({}, "id", badRelayIds) }
const byRelayId = { args: (id: string) => [id], malformed: badRelayIds.map((id) => [id]) }
const byPubkey = { args: (pubkey: string) => [pubkey], malformed: badPubkeys.map((pubkey) => [pubkey]) }

export const cases: ReadonlyArray<Case> = [
  {
    method: "createTenant",
    event: "TenantCreated",
    activity: "create_tenant",
    resource: "tenant",
    key: bob,
    creates: true,
    args: (pubkey) => [{ pubkey, nwcUrl: bobUrl, stripeCustomerId: "cus_bob" }],
    changes: { ...tenantDefaults, nwcUrl: bobUrl, stripeCustomerId: "cus_bob" },
    malformed: [
      ...withField({}, "pubkey", badPubkeys),
      ...withField({ pubkey: bob }, "nwcUrl", badUrls),
      ...withField({ pubkey: bob }, "stripeCustomerId", badIds),
      [null],
      []
    ]
  },
  {
    ...tenant,
    method: "updateTenant",
    event: "TenantUpdated",
    activity: "update_tenant",
    args: (pubkey) => [{ pubkey, nwcUrl: bobUrl, stripeCustomerId: "cus_new" }],
    changes: { nwcUrl: bobUrl, stripeCustomerId: "cus_new" },
    malformed: [
      ...withField({}, "pubkey", badPubkeys),
      ...withField({ pubkey: alice }, "nwcUrl", badUrls),
      ...withField({ pubkey: alice }, "stripeCustomerId", badIds)
    ]
  },
  {
    method: "createRelay",
    event: "RelayCreated",
    activity: "create_relay",
    resource: "relay",
    key: "relay-2",
    creates: true,
    args: (id) => [{ id, tenant: alice, subdomain: "two", ...options, status: "delinquent", synced: true }],
    changes: { ...relayDefaults, tenant: alice, subdomain: "two", ...options },
    malformed: [
      ...withField({ tenant: alice, subdomain: "two" }, "id", badRelayIds),
      ...withField({ id: "relay-2", subdomain: "two" }, "tenant", badPubkeys),
      ...withField({ id: "relay-2", tenant: alice }, "subdomain", [...badSubdomains, ...absent]),
      ...badOptions({ id: "relay-2", tenant: alice, subdomain: "two" })
    ]
  },
  {
    ...relay,
    method: "updateRelay",
    event: "RelayUpdated",
    activity: "update_relay",
    args: (id) => [{ id, subdomain: "uno", ...options }],
    changes: { subdomain: "uno", ...options },
    malformed: [
      ...withField({}, "id", badRelayIds),
      ...withField({ id: "relay-1" }, "subdomain", [...badSubdomains, null]),
      ...badOptions({ id: "relay-1" })
    ]
  },
  {
    ...relay,
    ...byRelay,
    method: "deactivateRelay",
    event: "RelayDeactivated",
    activity: "deactivate_relay",
    changes: { status: "inactive" }
  },
  {
    ...relay,
    ...byRelay,
    method: "markRelayDelinquent",
    event: "RelayMarkedDelinquent",
    activity: "deactivate_relay", // sic
    given: ["activateRelay", [{ id: "relay-1" }]],
    changes: { status: "delinquent" }
  },
  {
    ...relay,
    ...byRelay,
    method: "activateRelay",
    event: "RelayActivated",
    activity: "activate_relay",
    changes: { status: "active" }
  },
  {
    ...relay,
    method: "failRelaySync",
    event: "RelaySyncFailed",
    activity: "fail_relay_sync",
    args: (id) => [{ id }, "no machine"],
    changes: { syncError: "no machine" },
    malformed: [
      ...badRelayIds.map((id) => [{ id }, "no machine"]),
      ...[5, ...absent].map((error) => [{ id: "relay-1" }, error])
    ]
  },
  {
    ...relay,
    ...byRelayId,
    method: "completeRelaySync",
    event: "RelaySyncCompleted",
    activity: "complete_relay_sync",
    changes: { synced: true, syncError: "" }
  },
  {
    ...relay,
    ...byRelayId,
    method: "deleteRelaySubscriptionItem",
    event: "RelaySubscriptionItemDeleted",
    activity: null,
    changes: { stripeSubscriptionItemId: null }
  },
  {
    ...relay,
    method: "setRelaySubscriptionItem",
    event: "RelaySubscriptionItemSet",
    activity: null,
    args: (id) => [id, "si_new"],
    changes: { stripeSubscriptionItemId: "si_new" },
    malformed: [
      ...badRelayIds.map((id) => [id, "si_new"]),
      ...[...badIds, ...absent].map((item) => ["relay-1", item])
    ]
  },
  {
    ...tenant,
    method: "setTenantSubscription",
    event: "TenantSubscriptionSet",
    activity: null,
    args: (pubkey) => [pubkey, "sub_new"],
    changes: { stripeSubscriptionId: "sub_new" },
    malformed: [...badPubkeys.map((key) => [key, "sub_new"]), ...[...badIds, ...absent].map((id) => [alice, id])]
  },
  {
    ...tenant,
    ...byPubkey,
    method: "clearTenantSubscription",
    event: "TenantSubscriptionCleared",
    activity: null,
    changes: { stripeSubscriptionId: null }
  },
  {
    ...tenant,
    method: "setTenantNwcError",
    event: "TenantNwcErrorSet",
    activity: null,
    args: (pubkey) => [pubkey, "no funds"],
    changes: { nwcError: "no funds" },
    malformed: [...badPubkeys.map((key) => [key, "no funds"]), ...[5, ...absent].map((text) => [alice, text])]
  },
  {
    ...tenant,
    ...byPubkey,
    method: "clearTenantNwcError",
    event: "TenantNwcErrorCleared",
    activity: null,
    changes: { nwcError: null }
  },
  {
    ...tenant,
    ...byPubkey,
    method: "setTenantPastDue",
    event: "TenantPastDueSet",
    activity: null,
    changes: { pastDueAt: "now" }
  },
  {
    ...tenant,
    ...byPubkey,
    method: "clearTenantPastDue",
    event: "TenantPastDueCleared",
    activity: null,
    changes: { pastDueAt: null }
  }
]

export const malformedUrls = [
  "https://alice:ALICE-SECRET@example.com",
  `${aliceUrl}\n`,
  ` ${aliceUrl}`,
  `${aliceUrl}\ud800`
]
