/**
 * A table of the seventeen commands: the resource, event and activity of each, and the parameters of its
 * method. It is the only place with this information.
 */
import type { ActivityType, ResourceType } from "../model/Activity.js"
import type { resources } from "../model/Resource.js"

interface Row {
  /** The type of the command's resource. */
  readonly resource: ResourceType
  /** The event that an accepted command appends. */
  readonly event: string
  /** The activity type of the event, if the command is one of the nine that log and broadcast. */
  readonly activity: ActivityType | null
  /**
   * The parameters of the method. The first one names the resource: `tenant` and `relay` are objects with the payload's
   * fields, `pubkey` and `id` are only that field. Each further parameter is the payload's field of that name.
   */
  readonly parameters: readonly ["tenant" | "relay" | "pubkey" | "id", ...ReadonlyArray<string>]
}

/**
 * One row per command.
 *
 * @since 0.1.0
 * @category commands
 */
export const commandTable = {
  CreateTenant: row("tenant", "TenantCreated", "create_tenant", ["tenant"]),
  UpdateTenant: row("tenant", "TenantUpdated", "update_tenant", ["tenant"]),
  CreateRelay: row("relay", "RelayCreated", "create_relay", ["relay"]),
  UpdateRelay: row("relay", "RelayUpdated", "update_relay", ["relay"]),
  DeactivateRelay: row("relay", "RelayDeactivated", "deactivate_relay", ["relay"]),
  MarkRelayDelinquent: row("relay", "RelayMarkedDelinquent", "deactivate_relay", ["relay"]), // its activity is that of DeactivateRelay
  ActivateRelay: row("relay", "RelayActivated", "activate_relay", ["relay"]),
  FailRelaySync: row("relay", "RelaySyncFailed", "fail_relay_sync", ["relay", "syncError"]),
  CompleteRelaySync: row("relay", "RelaySyncCompleted", "complete_relay_sync", ["id"]),
  DeleteRelaySubscriptionItem: row("relay", "RelaySubscriptionItemDeleted", null, ["id"]),
  SetRelaySubscriptionItem: row("relay", "RelaySubscriptionItemSet", null, ["id", "stripeSubscriptionItemId"]),
  SetTenantSubscription: row("tenant", "TenantSubscriptionSet", null, ["pubkey", "stripeSubscriptionId"]),
  ClearTenantSubscription: row("tenant", "TenantSubscriptionCleared", null, ["pubkey"]),
  SetTenantNwcError: row("tenant", "TenantNwcErrorSet", null, ["pubkey", "nwcError"]),
  ClearTenantNwcError: row("tenant", "TenantNwcErrorCleared", null, ["pubkey"]),
  SetTenantPastDue: row("tenant", "TenantPastDueSet", null, ["pubkey"]),
  ClearTenantPastDue: row("tenant", "TenantPastDueCleared", null, ["pubkey"])
}

function row<
  const Resource extends ResourceType,
  const Event extends string,
  const Activity extends ActivityType | null,
  const Parameters extends Row["parameters"]
>(resource: Resource, event: Event, activity: Activity, parameters: Parameters) {
  // Not `satisfies Row`: that would widen a null `activity` to its constraint.
  return { resource, event, activity, parameters }
}

/**
 * The type of `commandTable`, from which the types of methods and events are derived.
 *
 * @since 0.1.0
 * @category commands
 */
export type CommandTable = typeof commandTable

/**
 * The name of a command.
 *
 * @since 0.1.0
 * @category commands
 */
export type CommandTag = keyof CommandTable

/**
 * The name of a command that creates a resource.
 *
 * @since 0.1.0
 * @category commands
 */
export type CreatingTag = Extract<CommandTag, typeof resources[ResourceType]["createdBy"]>
