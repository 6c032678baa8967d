/** Random programs of commands over few ids and subdomains, so that they often meet. */
import { FastCheck as fc } from "effect"
import { pubkey } from "./fixture.js"
import type { Call, PlainCommand } from "./model.js"

/** Calls that are made at once; one, if there is nothing concurrent. */
export type Step = ReadonlyArray<Call>

const tenants = fc.constantFrom(pubkey(1), pubkey(2), pubkey(3))
const relays = fc.constantFrom("a", "b", "C", "d_4")
const subdomains = fc.constantFrom("one", "two", "three")
const urls = fc.constantFrom("nostr+walletconnect://one", "nostr+walletconnect://two?secret=2")
const texts = fc.constantFrom("", "text", "it's ⛵ \"quoted\"\n")
const stripeIds = fc.constantFrom("id_1", "id_2")
const orNull = <A>(arbitrary: fc.Arbitrary<A>) => fc.option(arbitrary, { nil: null })

const options = {
  plan: orNull(fc.constantFrom("free", "basic", "growth")),
  infoName: orNull(texts),
  infoIcon: orNull(texts),
  infoDescription: orNull(texts),
  policyPublicJoin: orNull(fc.boolean()),
  policyStripSignatures: orNull(fc.boolean()),
  groupsEnabled: orNull(fc.boolean()),
  managementEnabled: orNull(fc.boolean()),
  blossomEnabled: orNull(fc.boolean()),
  livekitEnabled: orNull(fc.boolean()),
  pushEnabled: orNull(fc.boolean())
}

const command = (
  _tag: string,
  fields: { readonly [name: string]: fc.Arbitrary<unknown> },
  requiredKeys = Object.keys(fields)
): fc.Arbitrary<PlainCommand> => fc.record(fields, { requiredKeys }).map((values) => ({ ...values, _tag }))

const tenantFields = { pubkey: tenants, nwcUrl: orNull(urls), stripeCustomerId: orNull(stripeIds) }

const commands = fc.oneof(
  { arbitrary: command("CreateTenant", tenantFields, ["pubkey"]), weight: 4 },
  { arbitrary: command("UpdateTenant", tenantFields, ["pubkey"]), weight: 2 },
  {
    arbitrary: command("CreateRelay", { id: relays, tenant: tenants, subdomain: subdomains, ...options }, [
      "id",
      "tenant",
      "subdomain"
    ]),
    weight: 6
  },
  { arbitrary: command("UpdateRelay", { id: relays, subdomain: subdomains, ...options }, ["id"]), weight: 4 },
  command("DeactivateRelay", { id: relays }),
  command("MarkRelayDelinquent", { id: relays }),
  command("ActivateRelay", { id: relays }),
  command("FailRelaySync", { id: relays, syncError: texts }),
  command("CompleteRelaySync", { id: relays }),
  command("DeleteRelaySubscriptionItem", { id: relays }),
  command("SetRelaySubscriptionItem", { id: relays, stripeSubscriptionItemId: stripeIds }),
  command("SetTenantSubscription", { pubkey: tenants, stripeSubscriptionId: stripeIds }),
  command("ClearTenantSubscription", { pubkey: tenants }),
  command("SetTenantNwcError", { pubkey: tenants, nwcError: texts }),
  command("ClearTenantNwcError", { pubkey: tenants }),
  command("SetTenantPastDue", { pubkey: tenants }),
  command("ClearTenantPastDue", { pubkey: tenants })
)

const lists = fc.oneof(
  { arbitrary: commands.map((one) => [one]), weight: 4 },
  { arbitrary: fc.array(commands, { minLength: 2, maxLength: 4 }), weight: 1 }
)

/** Some expect a version, which low ones are often right about. */
export const calls: fc.Arbitrary<Call> = fc.record({
  commands: lists,
  expected: fc.oneof({ arbitrary: fc.constant(undefined), weight: 2 }, { arbitrary: fc.nat(4), weight: 1 })
})

const steps: fc.Arbitrary<Step> = fc.oneof(
  { arbitrary: calls.map((one) => [one]), weight: 3 },
  { arbitrary: fc.array(calls, { minLength: 2, maxLength: 5 }), weight: 1 }
)

/** Two tenants. */
export const beginning: ReadonlyArray<Step> = [1, 2].map((n) => [
  { commands: [{ _tag: "CreateTenant", pubkey: pubkey(n) }], expected: undefined }
])

/** Programs begin with two tenants more often than not, so that relays come about. */
export const programs: fc.Arbitrary<ReadonlyArray<Step>> = fc.tuple(
  fc.boolean(),
  fc.array(steps, { minLength: 1, maxLength: 40, size: "max" })
).map(([begun, program]) => [
  ...(begun ? beginning : []),
  ...program
])
