/**
 * The plain values of the commands. Generated from the command table and the schemas: run `node scripts/references.mjs
 * --write` to update it.
 */
import type { Redacted } from "effect"

/**
 * The plain values of `CreateTenant`.
 *
 * @since 0.1.0
 * @category payloads
 */
export interface CreateTenantPayload {
  /** A public key of 64 lower-case hex characters. */
  readonly pubkey: string
  /** A wallet connection URL, nostr+walletconnect://… (NIP-47). */
  readonly nwcUrl?: string | Redacted.Redacted | null | undefined
  /** An id at Stripe. */
  readonly stripeCustomerId?: string | null | undefined
}

/**
 * The plain values of `UpdateTenant`.
 *
 * @since 0.1.0
 * @category payloads
 */
export interface UpdateTenantPayload {
  /** A public key of 64 lower-case hex characters. */
  readonly pubkey: string
  /** A wallet connection URL, nostr+walletconnect://… (NIP-47). */
  readonly nwcUrl?: string | Redacted.Redacted | null | undefined
  /** An id at Stripe. */
  readonly stripeCustomerId?: string | null | undefined
}

/**
 * The plain values of `CreateRelay`.
 *
 * @since 0.1.0
 * @category payloads
 */
export interface CreateRelayPayload {
  /** A relay id of 1 to 64 letters, digits, _ and -. */
  readonly id: string
  /** A public key of 64 lower-case hex characters. */
  readonly tenant: string
  /** A subdomain of 1 to 63 of a-z, 0-9 and -, without - at either end. */
  readonly subdomain: string
  /** A plan's slug, such as free, basic or growth; default: free. */
  readonly plan?: string | null | undefined
  /** The name in the relay's information document (NIP-11). */
  readonly infoName?: string | null | undefined
  /** The icon's URL in the relay's information document (NIP-11). */
  readonly infoIcon?: string | null | undefined
  /** The description in the relay's information document (NIP-11). */
  readonly infoDescription?: string | null | undefined
  /** Whether anyone may join; default: false. */
  readonly policyPublicJoin?: boolean | null | undefined
  /** Whether signatures are stripped from events; default: false. */
  readonly policyStripSignatures?: boolean | null | undefined
  /** Whether groups are enabled (NIP-29); default: false. */
  readonly groupsEnabled?: boolean | null | undefined
  /** Whether the management API is enabled (NIP-86); default: false. */
  readonly managementEnabled?: boolean | null | undefined
  /** Whether Blossom media storage is enabled; default: false. */
  readonly blossomEnabled?: boolean | null | undefined
  /** Whether LiveKit rooms are enabled; default: false. */
  readonly livekitEnabled?: boolean | null | undefined
  /** Whether push notifications are enabled; default: false. */
  readonly pushEnabled?: boolean | null | undefined
}

/**
 * The plain values of `UpdateRelay`.
 *
 * @since 0.1.0
 * @category payloads
 */
export interface UpdateRelayPayload {
  /** A relay id of 1 to 64 letters, digits, _ and -. */
  readonly id: string
  /** A subdomain of 1 to 63 of a-z, 0-9 and -, without - at either end. */
  readonly subdomain?: string | undefined
  /** A plan's slug, such as free, basic or growth. */
  readonly plan?: string | null | undefined
  /** The name in the relay's information document (NIP-11). */
  readonly infoName?: string | null | undefined
  /** The icon's URL in the relay's information document (NIP-11). */
  readonly infoIcon?: string | null | undefined
  /** The description in the relay's information document (NIP-11). */
  readonly infoDescription?: string | null | undefined
  /** Whether anyone may join. */
  readonly policyPublicJoin?: boolean | null | undefined
  /** Whether signatures are stripped from events. */
  readonly policyStripSignatures?: boolean | null | undefined
  /** Whether groups are enabled (NIP-29). */
  readonly groupsEnabled?: boolean | null | undefined
  /** Whether the management API is enabled (NIP-86). */
  readonly managementEnabled?: boolean | null | undefined
  /** Whether Blossom media storage is enabled. */
  readonly blossomEnabled?: boolean | null | undefined
  /** Whether LiveKit rooms are enabled. */
  readonly livekitEnabled?: boolean | null | undefined
  /** Whether push notifications are enabled. */
  readonly pushEnabled?: boolean | null | undefined
}

/**
 * The plain values of `DeactivateRelay`.
 *
 * @since 0.1.0
 * @category payloads
 */
export interface DeactivateRelayPayload {
  /** A relay id of 1 to 64 letters, digits, _ and -. */
  readonly id: string
}

/**
 * The plain values of `MarkRelayDelinquent`.
 *
 * @since 0.1.0
 * @category payloads
 */
export interface MarkRelayDelinquentPayload {
  /** A relay id of 1 to 64 letters, digits, _ and -. */
  readonly id: string
}

/**
 * The plain values of `ActivateRelay`.
 *
 * @since 0.1.0
 * @category payloads
 */
export interface ActivateRelayPayload {
  /** A relay id of 1 to 64 letters, digits, _ and -. */
  readonly id: string
}

/**
 * The plain values of `FailRelaySync`.
 *
 * @since 0.1.0
 * @category payloads
 */
export interface FailRelaySyncPayload {
  /** A relay id of 1 to 64 letters, digits, _ and -. */
  readonly id: string
  /** Why provisioning failed; empty when it did not. */
  readonly syncError: string
}

/**
 * The plain values of `CompleteRelaySync`.
 *
 * @since 0.1.0
 * @category payloads
 */
export interface CompleteRelaySyncPayload {
  /** A relay id of 1 to 64 letters, digits, _ and -. */
  readonly id: string
}

/**
 * The plain values of `DeleteRelaySubscriptionItem`.
 *
 * @since 0.1.0
 * @category payloads
 */
export interface DeleteRelaySubscriptionItemPayload {
  /** A relay id of 1 to 64 letters, digits, _ and -. */
  readonly id: string
}

/**
 * The plain values of `SetRelaySubscriptionItem`.
 *
 * @since 0.1.0
 * @category payloads
 */
export interface SetRelaySubscriptionItemPayload {
  /** A relay id of 1 to 64 letters, digits, _ and -. */
  readonly id: string
  /** An id at Stripe. */
  readonly stripeSubscriptionItemId: string
}

/**
 * The plain values of `SetTenantSubscription`.
 *
 * @since 0.1.0
 * @category payloads
 */
export interface SetTenantSubscriptionPayload {
  /** A public key of 64 lower-case hex characters. */
  readonly pubkey: string
  /** An id at Stripe. */
  readonly stripeSubscriptionId: string
}

/**
 * The plain values of `ClearTenantSubscription`.
 *
 * @since 0.1.0
 * @category payloads
 */
export interface ClearTenantSubscriptionPayload {
  /** A public key of 64 lower-case hex characters. */
  readonly pubkey: string
}

/**
 * The plain values of `SetTenantNwcError`.
 *
 * @since 0.1.0
 * @category payloads
 */
export interface SetTenantNwcErrorPayload {
  /** A public key of 64 lower-case hex characters. */
  readonly pubkey: string
  /** Why the last wallet payment failed. */
  readonly nwcError: string
}

/**
 * The plain values of `ClearTenantNwcError`.
 *
 * @since 0.1.0
 * @category payloads
 */
export interface ClearTenantNwcErrorPayload {
  /** A public key of 64 lower-case hex characters. */
  readonly pubkey: string
}

/**
 * The plain values of `SetTenantPastDue`.
 *
 * @since 0.1.0
 * @category payloads
 */
export interface SetTenantPastDuePayload {
  /** A public key of 64 lower-case hex characters. */
  readonly pubkey: string
}

/**
 * The plain values of `ClearTenantPastDue`.
 *
 * @since 0.1.0
 * @category payloads
 */
export interface ClearTenantPastDuePayload {
  /** A public key of 64 lower-case hex characters. */
  readonly pubkey: string
}

/**
 * The plain values of each command, by its tag.
 *
 * @since 0.1.0
 * @category payloads
 */
export interface Payloads {
  readonly CreateTenant: CreateTenantPayload
  readonly UpdateTenant: UpdateTenantPayload
  readonly CreateRelay: CreateRelayPayload
  readonly UpdateRelay: UpdateRelayPayload
  readonly DeactivateRelay: DeactivateRelayPayload
  readonly MarkRelayDelinquent: MarkRelayDelinquentPayload
  readonly ActivateRelay: ActivateRelayPayload
  readonly FailRelaySync: FailRelaySyncPayload
  readonly CompleteRelaySync: CompleteRelaySyncPayload
  readonly DeleteRelaySubscriptionItem: DeleteRelaySubscriptionItemPayload
  readonly SetRelaySubscriptionItem: SetRelaySubscriptionItemPayload
  readonly SetTenantSubscription: SetTenantSubscriptionPayload
  readonly ClearTenantSubscription: ClearTenantSubscriptionPayload
  readonly SetTenantNwcError: SetTenantNwcErrorPayload
  readonly ClearTenantNwcError: ClearTenantNwcErrorPayload
  readonly SetTenantPastDue: SetTenantPastDuePayload
  readonly ClearTenantPastDue: ClearTenantPastDuePayload
}
