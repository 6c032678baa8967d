/** What each event is about, and which activity it is: those that commands give, and those of imports. */
import { type CommandTable, commandTable, type CommandTag, type CreatingTag } from "../command/CommandTable.js"
import type { ActivityType, ResourceType } from "../model/Activity.js"
import { resources } from "../model/Resource.js"

interface Row {
  readonly resource: ResourceType
  /** The activity that the event is, if it is one that is logged and broadcast. */
  readonly activity: ActivityType | null
}

/** No command gives these: they state a whole row of another database, at any version of the resource. */
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
 * The name of an event that states a resource as a whole: a creation, or the row of another database.
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
 * What events of this tag are about; undefined where there is no such event.
 *
 * @since 0.1.0
 * @category events
 */
export const resourceTypeOf = (tag: string): ResourceType | undefined => rows.get(tag)?.resource

/**
 * The activity type that events of this tag carry; null for those that log none.
 *
 * @since 0.1.0
 * @category events
 */
export const activityTypeOf = (tag: EventTag): ActivityType | null => rows.get(tag)?.activity ?? null

/**
 * Whether events of this tag come from an import.
 *
 * @since 0.1.0
 * @category events
 */
export const isImport = (tag: EventTag): boolean => Object.hasOwn(importTable, tag)

/**
 * The event that the creating command of a resource type results in.
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
 * Whether an event states its resource as a whole, so that nothing of the resource before it remains.
 *
 * @since 0.1.0
 * @category events
 */
export const isWhole = <E extends { readonly _tag: EventTag }>(
  event: E
): event is Extract<E, { readonly _tag: WholeEventTag }> => wholeTags.has(event._tag)

/**
 * Whether events of this tag may tell when a relay was active: activities, and what an import found beyond them.
 *
 * @since 0.1.0
 * @category events
 */
export const isMetered = (tag: EventTag): boolean => activityTypeOf(tag) !== null || tag === "RelayReconciled"
