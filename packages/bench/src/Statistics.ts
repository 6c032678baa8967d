import { Array as Arr, Order } from "effect"

/** The median. For an even number of values, the mean of the two in the middle. */
export const median = (values: ReadonlyArray<number>): number => {
  const sorted = Arr.sort(values, Order.number)
  const middle = sorted.length >> 1
  if (sorted.length === 0) return Number.NaN
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

/** A percentile: the smallest value such that at least this share of the values, from 0 to 1, is not above it. */
export const percentile = (values: ReadonlyArray<number>, share: number): number =>
  Arr.sort(values, Order.number)[Math.max(0, Math.ceil(values.length * share) - 1)] ?? Number.NaN
