/** Random programs of commands with few ids and subdomains, so that they often conflict. */
import type { CommandTag } from "@caravel/domain"
import { FastCheck as fc, Record as Rec } from "effect"
import { day, type Options, pubkey } from "./fixture.js"
import { type Call, isStorable, type PlainCommand } from "./model.js"

/** Calls that are made concurrently. */
export type Step = ReadonlyArray<Call>

const tenants = fc.constantFrom(pubkey(1), pubkey(2), pubkey(3))
const relays = fc.constantFrom("a", "b", "C", "d_4", "constructor", "__proto__")
const subdomains = fc.constantFrom("one", "two", "three")
const urls = fc.constantFrom("nostr+walletconnect://one", "nostr+walletconnect://two?secret=2")
const usualTexts = fc.constantFrom(
  "",
  "text",
  "it's ⛵ \"quoted\"\n",
  "\u{1F600}e\u0301\u202e\\u0000\ufeff\u2028\u{10ffff}"
)
const usualIds = fc.constantFrom("id_1", "id_2")
/** Any texts, including some that a database cannot store. */
const anyTexts = fc.oneof(
  { arbitrary: usualTexts, weight: 8 },
  { arbitrary: fc.string({ unit: "grapheme", maxLength: 20 }), weight: 1 },
  { arbitrary: fc.constantFrom("nul\0", "\ud83d", "\ude00\ud83d \u{1F600}"), weight: 1 }
)
const orNull = <A>(arbitrary: fc.Arbitrary<A>) => fc.option(arbitrary, { nil: null })

type Fields<Tag extends CommandTag> = {
  readonly [Name in Exclude<keyof PlainCommand<Tag>, "_tag">]-?: fc.Arbitrary<PlainCommand<Tag>[Name]>
}

const command = <Tag extends CommandTag>(
  _tag: Tag,
  fields: Fields<Tag>,
  requiredKeys = Object.keys(fields)
) =>
  fc.record(fields as { readonly [name: string]: fc.Arbitrary<unknown> }, { requiredKeys }).map((values) =>
    ({ ...values, _tag }) as PlainCommand<Tag>
  )

const commandsWith = (texts: fc.Arbitrary<string>, stripeIds: fc.Arbitrary<string>) => {
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
  } satisfies Options
  const tenantFields = { pubkey: tenants, nwcUrl: orNull(urls), stripeCustomerId: orNull(stripeIds) }
  const relayFields = { id: relays, tenant: tenants, subdomain: subdomains, ...options }
  const others: { readonly [Tag in Exclude<CommandTag, `${"Create" | "Update"}${string}`>]: Fields<Tag> } = {
    DeactivateRelay: { id: relays },
    MarkRelayDelinquent: { id: relays },
    ActivateRelay: { id: relays },
    FailRelaySync: { id: relays, syncError: texts },
    CompleteRelaySync: { id: relays },
    DeleteRelaySubscriptionItem: { id: relays },
    SetRelaySubscriptionItem: { id: relays, stripeSubscriptionItemId: stripeIds },
    SetTenantSubscription: { pubkey: tenants, stripeSubscriptionId: stripeIds },
    ClearTenantSubscription: { pubkey: tenants },
    SetTenantNwcError: { pubkey: tenants, nwcError: texts },
    ClearTenantNwcError: { pubkey: tenants },
    SetTenantPastDue: { pubkey: tenants },
    ClearTenantPastDue: { pubkey: tenants }
  }
  return fc.oneof(
    { arbitrary: command("CreateTenant", tenantFields, ["pubkey"]), weight: 4 },
    { arbitrary: command("UpdateTenant", tenantFields, ["pubkey"]), weight: 2 },
    { arbitrary: command("CreateRelay", relayFields, ["id", "tenant", "subdomain"]), weight: 6 },
    { arbitrary: command("UpdateRelay", { id: relays, subdomain: subdomains, ...options }, ["id"]), weight: 4 },
    ...Rec.toEntries(others).map(([tag, fields]) => command(tag, fields as Fields<typeof tag>))
  )
}

/** Calls with one or several commands. Some expect a version, a low number that is often correct. */
const callsOf = (commands: fc.Arbitrary<PlainCommand>): fc.Arbitrary<Call> =>
  fc.record({
    commands: fc.oneof(
      { arbitrary: commands.map((one) => [one]), weight: 4 },
      { arbitrary: fc.array(commands, { minLength: 2, maxLength: 4 }), weight: 1 }
    ),
    expected: fc.oneof({ arbitrary: fc.constant(undefined), weight: 2 }, { arbitrary: fc.nat(4), weight: 1 })
  })

/** Well-formed calls. */
export const calls = callsOf(commandsWith(usualTexts, usualIds))

/** Calls of which some have a malformed text. */
export const anyCalls = callsOf(commandsWith(anyTexts, fc.oneof(usualIds, anyTexts.filter((text) => text !== ""))))

/** The milliseconds that a clock returns on the nth day, which may be wrong. */
export type ClockOf = (n: number) => number

const wrong = [
  ...[0, -0, 0.25, -0.25, -1, NaN, Infinity, -Infinity, 1.5, 1_000_000_000_000.999, 2 ** 48, 1e21, Number.MAX_VALUE],
  ...[253_402_300_799_999, 253_402_300_799_999.9, 253_402_300_800_000, 8.64e15, 8.64e15 + 2]
]

export const clocks: fc.Arbitrary<ClockOf> = fc.oneof(
  { arbitrary: fc.constant((n: number) => millisOf(n)), weight: 4 },
  {
    arbitrary: fc.double({ min: -1e9, max: 1e9, noNaN: true }).map((off) => (n: number) => millisOf(n) + off),
    weight: 2
  },
  { arbitrary: fc.oneof(fc.constantFrom(...wrong), fc.double()).map((millis) => () => millis), weight: 1 }
)

/**
 * The clocks of commands with a key, which never go back. Adapters may keep an expired key or delete it, so they would
 * differ if the clock went back to before it expired.
 */
export const keyedClocks: fc.Arbitrary<ClockOf> = fc.oneof(
  { arbitrary: fc.constantFrom((n: number) => millisOf(n), (n: number) => millisOf(n) + 0.75), weight: 4 },
  { arbitrary: fc.constantFrom(NaN, Infinity, -0.5).map((millis) => () => millis), weight: 1 }
)

const millisOf = (n: number) => Date.parse(day(n))

/** Arguments of `Command.withMetadata`. */
export const metadata = fc.record({
  actor: usualTexts.filter((text) => text !== ""),
  correlationId: fc.string({ unit: "grapheme", minLength: 1, maxLength: 25 }).filter((text) =>
    [...text].every(isStorable)
  )
}, { requiredKeys: [] })

const steps: fc.Arbitrary<Step> = fc.oneof(
  { arbitrary: anyCalls.map((one) => [one]), weight: 3 },
  { arbitrary: fc.array(anyCalls, { minLength: 2, maxLength: 5 }), weight: 1 }
)

/** Two tenants. */
export const beginning: ReadonlyArray<Step> = [1, 2].map((n) => [
  { commands: [{ _tag: "CreateTenant", pubkey: pubkey(n) }], expected: undefined }
])

const anyPrograms: fc.Arbitrary<ReadonlyArray<Step>> = fc.array(steps, { minLength: 1, maxLength: 40, size: "max" })

/** Programs that begin with two tenants, so that there is at least one row. */
export const programsWithTenants = anyPrograms.map((program) => [...beginning, ...program])

/** Programs; half of them begin with two tenants, so that more relays are created. */
export const programs: fc.Arbitrary<ReadonlyArray<Step>> = fc.oneof(anyPrograms, programsWithTenants)
