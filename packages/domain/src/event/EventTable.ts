/** The resource type and the activity type of each event, for the events of commands and of imports. */
import { type CommandTable, commandTable, type CommandTag, type CreatingTag } from "../command/CommandTable.js"
import type { ActivityType, ResourceType } from "../model/Activity.js"
import { resources } from "../model/Resource.js"

interface Row {
  readonly resource: ResourceType
  /** The activity type, if the event is logged and broadcast. */
  readonly activity: ActivityType | null
}

/**
 * The events of imports. No command produces them; each states a whole row of another database, at any version of the
 * resource.
 */
const importTable = {
  TenantImported: { resource: "tenant", activity: "create_tenant" },
  TenantReconciled: { resource: "tenant", activity: null },
  RelayImported: { resource: "relay", activity: "create_relay" },
  RelayReconciled: { resource: "relay", activity: null }
} as const satisfies { readonly [tag: string]: Row }

/**
 * The name of an event.
 *
 * @since 0.1.0
 * @category events
 */
export type EventTag = CommandTable[CommandTag]["event"] | keyof typeof importTable

/**
 * The name of an event that states a whole resource: a creation, or a row of another database.
 *
 * @since 0.1.0
 * @category events
 */
export type WholeEventTag = CommandTable[CreatingTag]["event"] | keyof typeof importTable

const rows = new Map<string, Row>([
  ...Object.values(commandTable).map(({ event, ...row }) => [event, row] as const),
  ...Object.entries(importTable)
])

/**
 * The resource type of events with this tag; `undefined` if there is no such event.
 *
 * @since 0.1.0
 * @category events
 */
export const resourceTypeOf = (tag: string): ResourceType | undefined => rows.get(tag)?.resource

/**
 * The activity type of events with this tag; null if they are not logged.
 *
 * @since 0.1.0
 * @category events
 */
export const activityTypeOf = (tag: EventTag): ActivityType | null => rows.get(tag)?.activity ?? null

/**
 * Whether events with this tag come from an import.
 *
 * @since 0.1.0
 * @category events
 */
export const isImport = (tag: EventTag): boolean => Object.hasOwn(importTable, tag)

/**
 * The name of the event that creates a resource of this type.
 *
 * @since 0.1.0
 * @category events
 */
export const creationOf = (type: ResourceType): CommandTable[CreatingTag]["event"] =>
  commandTable[resources[type].createdBy].event

const wholeTags: ReadonlySet<EventTag> = new Set<WholeEventTag>([
  creationOf("tenant"),
  creationOf("relay"),
  ...Object.keys(importTable) as Array<keyof typeof importTable>
])

/**
 * Whether an event states its whole resource, so that no earlier value of the resource remains.
 *
 * @since 0.1.0
 * @category events
 */
export const isWhole = <E extends { readonly _tag: EventTag }>(
  event: E
): event is Extract<E, { readonly _tag: WholeEventTag }> => wholeTags.has(event._tag)

/**
 * Whether events with this tag can affect usage: activities, and relay rows that an import reconciled.
 *
 * @since 0.1.0
 * @category events
 */
export const isMetered = (tag: EventTag): boolean => activityTypeOf(tag) !== null || tag === "RelayReconciled"
