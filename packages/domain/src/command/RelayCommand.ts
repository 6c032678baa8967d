/** The commands on relays, as data. */
import { Schema } from "effect"
import { defaultRelayOptions, RelayId, RelayOptions, Subdomain } from "../model/Relay.js"
import { Pubkey, StripeId } from "../model/Tenant.js"
import { Diagnostic } from "../model/Text.js"
import { RelayAlreadyExists, RelayNotFound, SubdomainTaken, TenantNotFound } from "./CommandError.js"
import { patch, request, withDefaults } from "./Request.js"

const relayKey = { id: RelayId }

/**
 * `create_relay`: creates a relay. Its status is active, whatever is passed.
 *
 * @since 0.1.0
 * @category commands
 */
export class CreateRelay extends request<CreateRelay>()("CreateRelay", {
  description: "Creates a relay. Its status is active, whatever is passed.",
  payload: {
    ...relayKey,
    tenant: Pubkey,
    subdomain: Subdomain,
    ...withDefaults(RelayOptions.fields, defaultRelayOptions)
  },
  failure: [TenantNotFound, RelayAlreadyExists, SubdomainTaken]
}) {}

/**
 * `update_relay`: updates a relay's configuration. Absent fields keep their values, and null restores a default.
 *
 * @since 0.1.0
 * @category commands
 */
export class UpdateRelay extends request<UpdateRelay>()("UpdateRelay", {
  description: "Updates a relay's configuration: absent fields keep their values, null restores a default.",
  payload: { ...relayKey, subdomain: Schema.optional(Subdomain), ...patch(RelayOptions.fields) },
  failure: [RelayNotFound, SubdomainTaken]
}) {}

/**
 * `deactivate_relay`: sets a relay's status to inactive, only at the request of its owner or an admin.
 *
 * @since 0.1.0
 * @category commands
 */
export class DeactivateRelay extends request<DeactivateRelay>()("DeactivateRelay", {
  description: "Sets a relay's status to inactive, only at the request of its owner or an admin.",
  payload: relayKey,
  failure: [RelayNotFound]
}) {}

/**
 * `mark_relay_delinquent`: sets a relay's status to delinquent, because its subscription is past due.
 *
 * @since 0.1.0
 * @category commands
 */
export class MarkRelayDelinquent extends request<MarkRelayDelinquent>()("MarkRelayDelinquent", {
  description: "Sets a relay's status to delinquent, because its subscription is past due.",
  payload: relayKey,
  failure: [RelayNotFound]
}) {}

/**
 * `activate_relay`: sets a relay's status to active.
 *
 * @since 0.1.0
 * @category commands
 */
export class ActivateRelay extends request<ActivateRelay>()("ActivateRelay", {
  description: "Sets a relay's status to active.",
  payload: relayKey,
  failure: [RelayNotFound]
}) {}

/**
 * `fail_relay_sync`: records why a relay could not be provisioned.
 *
 * @since 0.1.0
 * @category commands
 */
export class FailRelaySync extends request<FailRelaySync>()("FailRelaySync", {
  description: "Records why a relay could not be provisioned.",
  payload: { ...relayKey, syncError: Diagnostic },
  failure: [RelayNotFound]
}) {}

/**
 * `complete_relay_sync`: records that a relay has been provisioned, and clears its sync error.
 *
 * @since 0.1.0
 * @category commands
 */
export class CompleteRelaySync extends request<CompleteRelaySync>()("CompleteRelaySync", {
  description: "Records that a relay has been provisioned, and clears its sync error.",
  payload: relayKey,
  failure: [RelayNotFound]
}) {}

/**
 * `delete_relay_subscription_item`: clears a relay's subscription item.
 *
 * @since 0.1.0
 * @category commands
 */
export class DeleteRelaySubscriptionItem extends request<DeleteRelaySubscriptionItem>()("DeleteRelaySubscriptionItem", {
  description: "Clears a relay's subscription item.",
  payload: relayKey,
  failure: [RelayNotFound]
}) {}

/**
 * `set_relay_subscription_item`: sets a relay's subscription item.
 *
 * @since 0.1.0
 * @category commands
 */
export class SetRelaySubscriptionItem extends request<SetRelaySubscriptionItem>()("SetRelaySubscriptionItem", {
  description: "Sets a relay's subscription item.",
  payload: { ...relayKey, stripeSubscriptionItemId: StripeId },
  failure: [RelayNotFound]
}) {}
