/** What relays cost: a monthly price for each plan, and a share of it for part of a month. */
import { DateTime, Schema } from "effect"

/** A calendar month in UTC, such as `2026-01`. */
export const Month = Schema.String.pipe(
  Schema.pattern(/^\d{4}-(0[1-9]|1[0-2])$/, { message: () => "Expected a month such as 2026-01" }),
  Schema.brand("Month")
)
export type Month = typeof Month.Type

/** From `from` (inclusive) to `to` (exclusive). */
export const Period = Schema.Struct({ from: Schema.DateTimeUtc, to: Schema.DateTimeUtc })
export type Period = typeof Period.Type

export const periodOf = (month: Month): Period => {
  const from = DateTime.unsafeMake(`${month}-01T00:00:00.000Z`)
  return { from, to: DateTime.add(from, { months: 1 }) }
}

const centsPerMonth: ReadonlyMap<string, number> = new Map([["basic", 500], ["growth", 2_500]])

/** Whether a plan costs something. Plans that have no price are free. */
export const hasPrice = (plan: string): boolean => centsPerMonth.has(plan)

/** The price of a part of a month on a plan, in whole cents. */
export const centsOf = (plan: string, part: Period, month: Period): number =>
  Math.round((centsPerMonth.get(plan) ?? 0) * millisOf(part) / millisOf(month))

const millisOf = ({ from, to }: Period) => DateTime.distance(from, to)
