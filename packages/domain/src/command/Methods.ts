/**
 * The methods of the commands. Generated from the command table and the schemas: run `node scripts/references.mjs
 * --write` to update it.
 */
import type { Effect } from "effect"
import type { ParseError } from "effect/ParseResult"
import type { Activity } from "../model/Activity.js"
import type {
  IdempotencyConflict,
  RelayAlreadyExists,
  RelayNotFound,
  StorageError,
  SubdomainTaken,
  TenantAlreadyExists,
  TenantNotFound,
  VersionConflict
} from "./CommandError.js"
import type { CreateRelayPayload, CreateTenantPayload, UpdateRelayPayload, UpdateTenantPayload } from "./Payloads.js"

/**
 * One method per command: the command `CreateTenant` has the method `createTenant(tenant)`.
 *
 * @since 0.1.0
 * @category services
 */
export interface Methods {
  /**
   * Creates a tenant. Logs and broadcasts `create_tenant`.
   *
   * @param tenant.pubkey - a public key of 64 lower-case hex characters
   * @param tenant.nwcUrl - a wallet connection URL, nostr+walletconnect://… (NIP-47)
   * @param tenant.stripeCustomerId - an id at Stripe
   */
  readonly createTenant: (
    tenant: CreateTenantPayload
  ) => Effect.Effect<
    Activity,
    TenantAlreadyExists | VersionConflict | IdempotencyConflict | StorageError | ParseError
  >
  /**
   * Updates a tenant: absent fields keep their values, null clears a field. Logs and broadcasts `update_tenant`.
   *
   * @param tenant.pubkey - a public key of 64 lower-case hex characters
   * @param tenant.nwcUrl - a wallet connection URL, nostr+walletconnect://… (NIP-47)
   * @param tenant.stripeCustomerId - an id at Stripe
   */
  readonly updateTenant: (
    tenant: UpdateTenantPayload
  ) => Effect.Effect<
    Activity,
    TenantNotFound | VersionConflict | IdempotencyConflict | StorageError | ParseError
  >
  /**
   * Creates a relay. Its status is active, whatever is passed. Logs and broadcasts `create_relay`.
   *
   * @param relay.id - a relay id of 1 to 64 letters, digits, _ and -
   * @param relay.tenant - a public key of 64 lower-case hex characters
   * @param relay.subdomain - a subdomain of 1 to 63 of a-z, 0-9 and -, without - at either end
   * @param relay.plan - a plan's slug, such as free, basic or growth; default: free
   * @param relay.infoName - the name in the relay's information document (NIP-11)
   * @param relay.infoIcon - the icon's URL in the relay's information document (NIP-11)
   * @param relay.infoDescription - the description in the relay's information document (NIP-11)
   * @param relay.policyPublicJoin - whether anyone may join; default: false
   * @param relay.policyStripSignatures - whether signatures are stripped from events; default: false
   * @param relay.groupsEnabled - whether groups are enabled (NIP-29); default: false
   * @param relay.managementEnabled - whether the management API is enabled (NIP-86); default: false
   * @param relay.blossomEnabled - whether Blossom media storage is enabled; default: false
   * @param relay.livekitEnabled - whether LiveKit rooms are enabled; default: false
   * @param relay.pushEnabled - whether push notifications are enabled; default: false
   */
  readonly createRelay: (
    relay: CreateRelayPayload
  ) => Effect.Effect<
    Activity,
    | TenantNotFound
    | RelayAlreadyExists
    | SubdomainTaken
    | VersionConflict
    | IdempotencyConflict
    | StorageError
    | ParseError
  >
  /**
   * Updates a relay's configuration: absent fields keep their values, null restores a default. Logs and broadcasts
   * `update_relay`.
   *
   * @param relay.id - a relay id of 1 to 64 letters, digits, _ and -
   * @param relay.subdomain - a subdomain of 1 to 63 of a-z, 0-9 and -, without - at either end
   * @param relay.plan - a plan's slug, such as free, basic or growth
   * @param relay.infoName - the name in the relay's information document (NIP-11)
   * @param relay.infoIcon - the icon's URL in the relay's information document (NIP-11)
   * @param relay.infoDescription - the description in the relay's information document (NIP-11)
   * @param relay.policyPublicJoin - whether anyone may join
   * @param relay.policyStripSignatures - whether signatures are stripped from events
   * @param relay.groupsEnabled - whether groups are enabled (NIP-29)
   * @param relay.managementEnabled - whether the management API is enabled (NIP-86)
   * @param relay.blossomEnabled - whether Blossom media storage is enabled
   * @param relay.livekitEnabled - whether LiveKit rooms are enabled
   * @param relay.pushEnabled - whether push notifications are enabled
   */
  readonly updateRelay: (
    relay: UpdateRelayPayload
  ) => Effect.Effect<
    Activity,
    RelayNotFound | SubdomainTaken | VersionConflict | IdempotencyConflict | StorageError | ParseError
  >
  /**
   * Sets a relay's status to inactive, only at the request of its owner or an admin. Logs and broadcasts
   * `deactivate_relay`.
   *
   * @param relay.id - a relay id of 1 to 64 letters, digits, _ and -
   */
  readonly deactivateRelay: (
    relay: { readonly id: string }
  ) => Effect.Effect<
    Activity,
    RelayNotFound | VersionConflict | IdempotencyConflict | StorageError | ParseError
  >
  /**
   * Sets a relay's status to delinquent, because its subscription is past due. Logs and broadcasts `deactivate_relay`.
   *
   * @param relay.id - a relay id of 1 to 64 letters, digits, _ and -
   */
  readonly markRelayDelinquent: (
    relay: { readonly id: string }
  ) => Effect.Effect<
    Activity,
    RelayNotFound | VersionConflict | IdempotencyConflict | StorageError | ParseError
  >
  /**
   * Sets a relay's status to active. Logs and broadcasts `activate_relay`.
   *
   * @param relay.id - a relay id of 1 to 64 letters, digits, _ and -
   */
  readonly activateRelay: (
    relay: { readonly id: string }
  ) => Effect.Effect<
    Activity,
    RelayNotFound | VersionConflict | IdempotencyConflict | StorageError | ParseError
  >
  /**
   * Records why a relay could not be provisioned. Logs and broadcasts `fail_relay_sync`.
   *
   * @param relay.id - a relay id of 1 to 64 letters, digits, _ and -
   * @param syncError - why provisioning failed; empty when it did not
   */
  readonly failRelaySync: (
    relay: { readonly id: string },
    syncError: string
  ) => Effect.Effect<
    Activity,
    RelayNotFound | VersionConflict | IdempotencyConflict | StorageError | ParseError
  >
  /**
   * Records that a relay has been provisioned, and clears its sync error. Logs and broadcasts `complete_relay_sync`.
   *
   * @param id - a relay id of 1 to 64 letters, digits, _ and -
   */
  readonly completeRelaySync: (
    id: string
  ) => Effect.Effect<
    Activity,
    RelayNotFound | VersionConflict | IdempotencyConflict | StorageError | ParseError
  >
  /**
   * Clears a relay's subscription item. Logs no activity.
   *
   * @param id - a relay id of 1 to 64 letters, digits, _ and -
   */
  readonly deleteRelaySubscriptionItem: (
    id: string
  ) => Effect.Effect<
    void,
    RelayNotFound | VersionConflict | IdempotencyConflict | StorageError | ParseError
  >
  /**
   * Sets a relay's subscription item. Logs no activity.
   *
   * @param id - a relay id of 1 to 64 letters, digits, _ and -
   * @param stripeSubscriptionItemId - an id at Stripe
   */
  readonly setRelaySubscriptionItem: (
    id: string,
    stripeSubscriptionItemId: string
  ) => Effect.Effect<
    void,
    RelayNotFound | VersionConflict | IdempotencyConflict | StorageError | ParseError
  >
  /**
   * Sets a tenant's subscription. Logs no activity.
   *
   * @param pubkey - a public key of 64 lower-case hex characters
   * @param stripeSubscriptionId - an id at Stripe
   */
  readonly setTenantSubscription: (
    pubkey: string,
    stripeSubscriptionId: string
  ) => Effect.Effect<
    void,
    TenantNotFound | VersionConflict | IdempotencyConflict | StorageError | ParseError
  >
  /**
   * Clears a tenant's subscription. Logs no activity.
   *
   * @param pubkey - a public key of 64 lower-case hex characters
   */
  readonly clearTenantSubscription: (
    pubkey: string
  ) => Effect.Effect<
    void,
    TenantNotFound | VersionConflict | IdempotencyConflict | StorageError | ParseError
  >
  /**
   * Records why a tenant's wallet payment failed. Logs no activity.
   *
   * @param pubkey - a public key of 64 lower-case hex characters
   * @param nwcError - why the last wallet payment failed
   */
  readonly setTenantNwcError: (
    pubkey: string,
    nwcError: string
  ) => Effect.Effect<
    void,
    TenantNotFound | VersionConflict | IdempotencyConflict | StorageError | ParseError
  >
  /**
   * Clears a tenant's wallet error. Logs no activity.
   *
   * @param pubkey - a public key of 64 lower-case hex characters
   */
  readonly clearTenantNwcError: (
    pubkey: string
  ) => Effect.Effect<
    void,
    TenantNotFound | VersionConflict | IdempotencyConflict | StorageError | ParseError
  >
  /**
   * Records that a tenant's bill is past due as of now. Logs no activity.
   *
   * @param pubkey - a public key of 64 lower-case hex characters
   */
  readonly setTenantPastDue: (
    pubkey: string
  ) => Effect.Effect<
    void,
    TenantNotFound | VersionConflict | IdempotencyConflict | StorageError | ParseError
  >
  /**
   * Records that a tenant's bill is no longer past due. Logs no activity.
   *
   * @param pubkey - a public key of 64 lower-case hex characters
   */
  readonly clearTenantPastDue: (
    pubkey: string
  ) => Effect.Effect<
    void,
    TenantNotFound | VersionConflict | IdempotencyConflict | StorageError | ParseError
  >
}
