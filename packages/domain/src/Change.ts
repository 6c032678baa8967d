/** What differs between two states of a resource, field by field. */
import { Equal, HashMap, Option } from "effect"
import type { State } from "./Decider.js"
import type { RecordedEvent } from "./Event.js"
import type { RelayId, RelayState } from "./Relay.js"
import type { Resource } from "./Resource.js"
import type { Pubkey, TenantState } from "./Tenant.js"

type ChangeOf<Fields> = {
  readonly [Field in keyof Fields]: {
    readonly field: Field
    readonly before: Fields[Field] | undefined
    readonly after: Fields[Field] | undefined
  }
}[keyof Fields]

/**
 * What became of one field; undefined where there was no such resource. Of a secret it has the references, which tell
 * that it changed and never to what.
 *
 * @since 0.1.0
 * @category models
 */
export type Change = ChangeOf<TenantState> | ChangeOf<RelayState>

/**
 * An event, and what it changed: nothing, where it set what was so already.
 *
 * @since 0.1.0
 * @category models
 */
export interface HistoryEntry {
  readonly event: RecordedEvent
  readonly changes: ReadonlyArray<Change>
}

interface DifferenceOf<Type, Id, Fields> {
  readonly resourceType: Type
  readonly resourceId: Id
  /** Undefined where there was no such resource, as in its changes. */
  readonly before: Fields | undefined
  readonly after: Fields | undefined
  /** All fields that differ, the version among them. */
  readonly changes: ReadonlyArray<Change>
}

/**
 * What became of one resource between two moments.
 *
 * @since 0.1.0
 * @category models
 */
export type Difference = DifferenceOf<"tenant", Pubkey, TenantState> | DifferenceOf<"relay", RelayId, RelayState>

/**
 * What an event changed, given the states before and after it.
 *
 * @since 0.1.0
 * @category constructors
 */
export const entryOf = (before: State, event: RecordedEvent, after: State): HistoryEntry => ({
  event,
  changes: changesBetween(resourceIn(before, event), resourceIn(after, event), Object.keys(event.changes))
})

/**
 * What became of a resource from one state to another.
 *
 * @since 0.1.0
 * @category constructors
 */
export const differenceOf = (
  { resourceId, resourceType }: Resource,
  from: State,
  to: State
): Difference => {
  const resource = { resourceType, resourceId } as Resource
  const before = resourceIn(from, resource)
  const after = resourceIn(to, resource)
  // Both are states of the one type that the resource is of.
  return { ...resource, before, after, changes: changesBetween(before, after) } as Difference
}

interface Fields {
  readonly [field: string]: unknown
}

const resourceIn = ({ relays, tenants }: State, { resourceId, resourceType }: Resource): Fields | undefined =>
  Option.getOrUndefined<TenantState | RelayState>(
    resourceType === "tenant" ? HashMap.get(tenants, resourceId) : HashMap.get(relays, resourceId)
  )

/** The fields, of those named or of all, that differ. */
const changesBetween = (
  before: Fields = {},
  after: Fields = {},
  fields = Object.keys({ ...before, ...after })
): ReadonlyArray<Change> =>
  fields.filter((field) => !Equal.equals(before[field], after[field]))
    // The fields are those of a tenant's or of a relay's state.
    .map((field) => ({ field, before: before[field], after: after[field] } as Change))
