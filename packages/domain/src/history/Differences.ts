/** Differences between two states. */
import { Equal, Option } from "effect"
import { resourceIn, type State } from "../decide/Decider.js"
import type { RecordedEvent } from "../event/Event.js"
import { type Resource, stateFields } from "../model/Resource.js"
import type { Change, Difference, HistoryEntry } from "./Change.js"

/** The history entry of an event, given the states before and after it. */
export const entryOf = (before: State, event: RecordedEvent, after: State): HistoryEntry => ({
  event,
  changes: changesBetween(event, fieldsIn(before, event), fieldsIn(after, event), event.changes)
})

/** The difference of a resource between two states. */
export const differenceOf = (
  { resourceId, resourceType }: Resource,
  from: State,
  to: State
): Difference => {
  const resource = { resourceType, resourceId } as Resource
  const before = fieldsIn(from, resource)
  const after = fieldsIn(to, resource)
  // Both states have the type of the resource.
  return { ...resource, before, after, changes: changesBetween(resource, before, after) } as Difference
}

interface Fields {
  readonly [field: string]: unknown
}

const fieldsIn = (state: State, resource: Pick<RecordedEvent, "resourceId" | "resourceType">): Fields | undefined =>
  Option.getOrUndefined(resourceIn(state, resource))

/** The changes of the fields that differ, among those that are set or all, in the order of the resource's fields. */
const changesBetween = (
  { resourceType }: Pick<Resource, "resourceType">,
  before: Fields = {},
  after: Fields = {},
  set?: object
): ReadonlyArray<Change> =>
  stateFields[resourceType]
    .filter((field) => (set === undefined || field in set) && !Equal.equals(before[field], after[field]))
    // The fields are those of a tenant's or a relay's state.
    .map((field) => ({ field, before: before[field], after: after[field] } as Change))
