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
  readonly before: Option.Option<Fields>
  readonly after: Option.Option<Fields>
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

type Found = Option.Option<TenantState | RelayState>

const resourceIn = ({ relays, tenants }: State, { resourceId, resourceType }: Resource): Found =>
  resourceType === "tenant" ? HashMap.get(tenants, resourceId) : HashMap.get(relays, resourceId)

/** The fields, of those named or of all, that differ. */
const changesBetween = (before: Found, after: Found, fields?: ReadonlyArray<string>): ReadonlyArray<Change> => {
  const old: Fields = Option.getOrElse(before, () => ({}))
  const now: Fields = Option.getOrElse(after, () => ({}))
  return (fields ?? Object.keys({ ...old, ...now }))
    .filter((field) => !Equal.equals(old[field], now[field]))
    // The fields are those of a tenant's or of a relay's state.
    .map((field) => ({ field, before: old[field], after: now[field] } as Change))
}

interface Fields {
  readonly [field: string]: unknown
}
