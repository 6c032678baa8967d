/** The WHERE clauses of filters, and their parameters. */
import type { ActivityFilter, RelayFilter, TenantFilter } from "@caravel/domain"
import { Array as Arr } from "effect"

/** A condition and its parameters. */
type Condition = readonly [text: string, params: ReadonlyArray<unknown>]

/** A clause that follows FROM, and its parameters. */
export type Clause = readonly [clause: string, params: ReadonlyArray<unknown>]

/** The conditions on those values that a filter has. */
const where = (conditions: ReadonlyArray<Condition | undefined>): Clause => {
  const given = conditions.filter((condition) => condition !== undefined)
  const clause = given.map(([text]) => text).join(" AND ")
  return [given.length === 0 ? "" : `WHERE ${clause}`, given.flatMap(([, params]) => params)]
}

const compare = (comparison: string, value: unknown): Condition | undefined =>
  value === undefined ? undefined : [`${comparison} ?`, [value]]

const oneOf = (column: string, value: string | ReadonlyArray<string> | undefined): Condition | undefined => {
  if (value === undefined) return undefined
  // Each number of values is another statement, which is kept.
  const values: ReadonlyArray<string> = Arr.dedupe(Arr.ensure(value))
  // Not every database accepts an empty list.
  return [values.length === 0 ? "1 = 0" : `${column} IN (${values.map(() => "?").join(", ")})`, values]
}

/** Whether an expression is true, as a literal: SQLite has no parameters of this type. */
const holds = (expression: string, value: boolean | undefined): Condition | undefined =>
  value === undefined ? undefined : [`(${expression}) = ${value ? "TRUE" : "FALSE"}`, []]

/** Adds the order, and the limit if there is one. */
const ordered = ([clause, params]: Clause, column: string, limit: number | undefined): Clause =>
  limit === undefined
    ? [`${clause} ORDER BY ${column}`, params]
    : [`${clause} ORDER BY ${column} LIMIT ?`, [...params, limit]]

/** The activities of the view `caravel_activity` that match, without their order. */
export const activityWhere = (
  { activityType, after, resourceId, tenant, upTo }: Omit<ActivityFilter, "limit">
): Clause => {
  // Without statistics, SQLite may prefer an index that finds many rows to one that finds few. An expression has no index.
  const byTenant = resourceId === undefined ? "tenant" : "tenant || ''"
  const byType = resourceId === undefined && tenant === undefined ? "activity_type" : "activity_type || ''"
  return where([
    compare("position >", after),
    compare("position <=", upTo),
    compare(`${byTenant} =`, tenant),
    oneOf(byType, activityType),
    compare("resource_id =", resourceId)
  ])
}

/** The activities that match, in order of their positions. */
export const activitiesWhere = ({ limit, ...filter }: ActivityFilter): Clause =>
  ordered(activityWhere(filter), "position", limit)

/** The tenants that match, in order of their keys. */
export const tenantsWhere = ({ after, limit, pastDue }: TenantFilter): Clause =>
  ordered(
    where([
      compare("pubkey >", after),
      holds("past_due_at IS NOT NULL", pastDue)
    ]),
    "pubkey",
    limit
  )

/** The relays that match, in order of their keys. */
export const relaysWhere = ({ after, limit, plan, status, synced, tenant }: RelayFilter): Clause =>
  ordered(
    where([
      compare("id >", after),
      compare("tenant =", tenant),
      oneOf("status", status),
      oneOf("plan", plan),
      holds("synced", synced)
    ]),
    "id",
    limit
  )
