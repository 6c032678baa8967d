import type { ActivityFilter } from "@caravel/domain"
import { Array as Arr } from "effect"

/** The WHERE clause of a filter on the view `caravel_activity`, and its parameters. */
export const activityWhere = (
  { activityType, after, resourceId, tenant, upTo }: Omit<ActivityFilter, "limit">
): readonly [clause: string, params: ReadonlyArray<string | number>] => {
  const conditions = ["position > ?"]
  const params: Array<string | number> = [after]
  const add = (condition: string, ...values: ReadonlyArray<string | number>) => {
    conditions.push(condition)
    for (const value of values) params.push(value)
  }
  if (upTo !== undefined) add("position <= ?", upTo)
  if (tenant !== undefined) add("tenant = ?", tenant)
  if (activityType !== undefined) {
    const types: ReadonlyArray<string> = Arr.ensure(activityType)
    // Not every database accepts an empty list.
    add(types.length === 0 ? "1 = 0" : `activity_type IN (${types.map(() => "?").join(", ")})`, ...types)
  }
  if (resourceId !== undefined) add("resource_id = ?", resourceId)
  return [`WHERE ${conditions.join(" AND ")}`, params]
}
