/** The commands on tenants, as data. */
import { Schema } from "effect"
import { NwcUrlInput, Pubkey, StripeId } from "../model/Tenant.js"
import { Diagnostic } from "../model/Text.js"
import { TenantAlreadyExists, TenantNotFound } from "./CommandError.js"
import { patch, request } from "./Request.js"

const tenantKey = { pubkey: Pubkey }

/**
 * `create_tenant`: creates a tenant.
 *
 * @since 0.1.0
 * @category commands
 */
export class CreateTenant extends request<CreateTenant>()("CreateTenant", {
  description: "Creates a tenant.",
  payload: {
    ...tenantKey,
    nwcUrl: Schema.optionalWith(Schema.NullOr(NwcUrlInput), { default: () => null }),
    stripeCustomerId: Schema.optionalWith(Schema.NullOr(StripeId), { default: () => null })
  },
  failure: [TenantAlreadyExists]
}) {}

/**
 * `update_tenant`: updates a tenant. Absent fields keep their values, and null clears a field.
 *
 * @since 0.1.0
 * @category commands
 */
export class UpdateTenant extends request<UpdateTenant>()("UpdateTenant", {
  description: "Updates a tenant: absent fields keep their values, null clears a field.",
  payload: { ...tenantKey, ...patch({ nwcUrl: NwcUrlInput, stripeCustomerId: StripeId }) },
  failure: [TenantNotFound]
}) {}

/**
 * `set_tenant_subscription`: sets a tenant's subscription.
 *
 * @since 0.1.0
 * @category commands
 */
export class SetTenantSubscription extends request<SetTenantSubscription>()("SetTenantSubscription", {
  description: "Sets a tenant's subscription.",
  payload: { ...tenantKey, stripeSubscriptionId: StripeId },
  failure: [TenantNotFound]
}) {}

/**
 * `clear_tenant_subscription`: clears a tenant's subscription.
 *
 * @since 0.1.0
 * @category commands
 */
export class ClearTenantSubscription extends request<ClearTenantSubscription>()("ClearTenantSubscription", {
  description: "Clears a tenant's subscription.",
  payload: tenantKey,
  failure: [TenantNotFound]
}) {}

/**
 * `set_tenant_nwc_error`: records why a tenant's wallet payment failed.
 *
 * @since 0.1.0
 * @category commands
 */
export class SetTenantNwcError extends request<SetTenantNwcError>()("SetTenantNwcError", {
  description: "Records why a tenant's wallet payment failed.",
  payload: { ...tenantKey, nwcError: Diagnostic },
  failure: [TenantNotFound]
}) {}

/**
 * `clear_tenant_nwc_error`: clears a tenant's wallet error.
 *
 * @since 0.1.0
 * @category commands
 */
export class ClearTenantNwcError extends request<ClearTenantNwcError>()("ClearTenantNwcError", {
  description: "Clears a tenant's wallet error.",
  payload: tenantKey,
  failure: [TenantNotFound]
}) {}

/**
 * `set_tenant_past_due`: records that a tenant's bill is past due as of now.
 *
 * @since 0.1.0
 * @category commands
 */
export class SetTenantPastDue extends request<SetTenantPastDue>()("SetTenantPastDue", {
  description: "Records that a tenant's bill is past due as of now.",
  payload: tenantKey,
  failure: [TenantNotFound]
}) {}

/**
 * `clear_tenant_past_due`: records that a tenant's bill is no longer past due.
 *
 * @since 0.1.0
 * @category commands
 */
export class ClearTenantPastDue extends request<ClearTenantPastDue>()("ClearTenantPastDue", {
  description: "Records that a tenant's bill is no longer past due.",
  payload: tenantKey,
  failure: [TenantNotFound]
}) {}
