/** The rows that the hand-written subjects write: the same as Caravel's for the same command. */
import { randomUUID } from "node:crypto"
import { performance } from "node:perf_hooks"
import type { Input } from "./Input.js"

type CreateRelay = Extract<Input, { readonly _tag: "createRelay" }>

const configuration = {
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

/** The changes of a `RelayCreated`. */
export const relayCreated = ({ subdomain }: CreateRelay) => ({
  subdomain,
  ...configuration,
  status: "active",
  synced: false,
  syncError: "",
  stripeSubscriptionItemId: null
})

/** The changes of a `RelayDeactivated`. */
export const relayDeactivated = { status: "inactive" }

/** The columns of an event about a relay, without its position. */
export interface EventRow {
  readonly id: string
  readonly type: string
  readonly activity_type: string
  readonly tenant: string
  readonly resource_type: "relay"
  readonly resource_id: string
  readonly resource_version: number
  readonly payload: string
  readonly metadata: string
  readonly created_at: number
}

/** The event of a command on a relay. */
export const eventRow = (input: Input, tenant: string, version: number): EventRow => {
  const created_at = now()
  const created = input._tag === "createRelay"
  return {
    id: eventId(created_at),
    type: created ? "RelayCreated" : "RelayDeactivated",
    activity_type: created ? "create_relay" : "deactivate_relay",
    tenant,
    resource_type: "relay",
    resource_id: input.id,
    resource_version: version,
    payload: JSON.stringify(created ? relayCreated(input) : relayDeactivated),
    metadata: "{}",
    created_at
  }
}

/** The columns of a new relay. */
export const relayRow = ({ id, subdomain, tenant }: CreateRelay, created_at: number) => ({
  id,
  tenant,
  subdomain,
  plan: "free",
  info_name: "",
  info_icon: "",
  info_description: "",
  policy_public_join: 0,
  policy_strip_signatures: 0,
  groups_enabled: 0,
  management_enabled: 0,
  blossom_enabled: 0,
  livekit_enabled: 0,
  push_enabled: 0,
  status: "active",
  synced: 0,
  sync_error: "",
  stripe_subscription_item_id: null,
  created_at,
  version: 1
})

/** The columns of a relay. */
export interface RelayRow extends ReturnType<typeof relayRow> {}

/** The notification of an event. */
export const activity = (position: number, event: EventRow) => ({
  position,
  id: event.id,
  tenant: event.tenant,
  createdAt: event.created_at,
  activityType: event.activity_type,
  resourceType: event.resource_type,
  resourceId: event.resource_id
})

/** The type of `activity`'s result. */
export interface Activity extends ReturnType<typeof activity> {}

/** Notifies subscribers that are plain functions. */
export const notifier = (subscribers: ReadonlyArray<(activity: Activity) => void>) => (activity: Activity): void => {
  for (const subscriber of subscribers) subscriber(activity)
}

const now = () => Math.floor(performance.timeOrigin + performance.now())

/** A UUIDv7, generated as Caravel does. */
const eventId = (millis: number) => {
  const time = millis.toString(16).padStart(12, "0")
  return `${time.slice(0, 8)}-${time.slice(8)}-7${randomUUID().slice(15)}`
}
