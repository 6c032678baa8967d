/** A Nostr relay owned by a tenant. */
import { Schema } from "effect"
import { Pubkey, StripeId } from "./Tenant.js"
import { expected, Text, Version } from "./Text.js"
import { trusted } from "./Trusted.js"

/**
 * A caller-chosen opaque id: 1–64 of `A-Z a-z 0-9 _ -`.
 *
 * @since 0.1.0
 * @category models
 */
export const RelayId = Schema.String.pipe(Schema.pattern(/^[A-Za-z0-9_-]{1,64}$/), Schema.brand("RelayId")).annotations(
  {
    identifier: "RelayId",
    ...expected("a relay id of 1 to 64 letters, digits, _ and -")
  }
)

/**
 * @since 0.1.0
 * @category models
 */
export type RelayId = typeof RelayId.Type

/**
 * One DNS label: 1–63 of `a-z 0-9 -`, without a leading or trailing `-`.
 *
 * @since 0.1.0
 * @category models
 */
export const Subdomain = Schema.String.pipe(
  Schema.pattern(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/),
  Schema.brand("Subdomain")
).annotations({
  identifier: "Subdomain",
  ...expected("a subdomain of 1 to 63 of a-z, 0-9 and -, without - at either end")
})

/**
 * @since 0.1.0
 * @category models
 */
export type Subdomain = typeof Subdomain.Type

/**
 * The slug of a plan, such as `free`, `basic` or `growth`.
 *
 * @since 0.1.0
 * @category models
 */
export const PlanId = Schema.String.pipe(
  Schema.pattern(/^(?=.{1,64}$)[a-z0-9]+([-_][a-z0-9]+)*$/),
  Schema.brand("PlanId")
).annotations({
  identifier: "PlanId",
  ...expected("a plan's slug, such as free, basic or growth")
})

/**
 * @since 0.1.0
 * @category models
 */
export type PlanId = typeof PlanId.Type

/**
 * Whether the relay serves clients. A relay is `inactive` because its owner switched it off, and `delinquent` because
 * of an unpaid bill. The two are distinct: a relay that its owner switched off must not be activated when the bill is
 * paid.
 *
 * @since 0.1.0
 * @category models
 */
export const RelayStatus = Schema.Literal("active", "inactive", "delinquent").annotations(
  expected("a relay's status: active, inactive or delinquent")
)

/**
 * @since 0.1.0
 * @category models
 */
export type RelayStatus = typeof RelayStatus.Type

/**
 * The options that have defaults. A new relay starts with the defaults, and clearing a field restores its default.
 *
 * @since 0.1.0
 * @category models
 */
export const RelayOptions = Schema.Struct({
  plan: PlanId,
  infoName: Text.annotations({ description: "the name in the relay's information document (NIP-11)" }),
  infoIcon: Text.annotations({ description: "the icon's URL in the relay's information document (NIP-11)" }),
  infoDescription: Text.annotations({ description: "the description in the relay's information document (NIP-11)" }),
  policyPublicJoin: Schema.Boolean.annotations({ description: "whether anyone may join" }),
  policyStripSignatures: Schema.Boolean.annotations({ description: "whether signatures are stripped from events" }),
  groupsEnabled: Schema.Boolean.annotations({ description: "whether groups are enabled (NIP-29)" }),
  managementEnabled: Schema.Boolean.annotations({ description: "whether the management API is enabled (NIP-86)" }),
  blossomEnabled: Schema.Boolean.annotations({ description: "whether Blossom media storage is enabled" }),
  livekitEnabled: Schema.Boolean.annotations({ description: "whether LiveKit rooms are enabled" }),
  pushEnabled: Schema.Boolean.annotations({ description: "whether push notifications are enabled" })
})

/**
 * @since 0.1.0
 * @category models
 */
export interface RelayOptions extends Schema.Schema.Type<typeof RelayOptions> {}

/**
 * The defaults of a relay's options.
 *
 * @since 0.1.0
 * @category models
 */
export const defaultRelayOptions: RelayOptions = {
  plan: PlanId.make("free"),
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

/**
 * A relay as `Query` returns it. Its subdomain is unique among all relays, whatever their status; its tenant never
 * changes.
 *
 * @since 0.1.0
 * @category models
 */
export class Relay extends Schema.Class<Relay>("@caravel/domain/Relay")({
  id: RelayId,
  tenant: Pubkey,
  subdomain: Subdomain,
  ...RelayOptions.fields,
  status: RelayStatus,
  synced: Schema.Boolean.annotations({ description: "whether the relay has been provisioned" }),
  syncError: Text.annotations({ description: "why provisioning failed; empty when it did not" }),
  stripeSubscriptionItemId: Schema.NullOr(StripeId),
  createdAt: Schema.DateTimeUtc,
  version: Version
}) {
  /** Creates a relay from values that have already been validated. */
  static readonly trusted = (values: Schema.Struct.Type<typeof Relay.fields>): Relay => trusted(Relay, values)
}

/**
 * A relay as decisions see it and projections store it.
 *
 * @since 0.1.0
 * @category models
 */
export const RelayState = Schema.Struct(Relay.fields)

/**
 * @since 0.1.0
 * @category models
 */
export interface RelayState extends Schema.Schema.Type<typeof RelayState> {}
