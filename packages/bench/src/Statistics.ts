import { Array as Arr, Order } from "effect"

/** The value that as many are below as above; of an even number, the mean of the two in the middle. */
export const median = (values: ReadonlyArray<number>): number => {
  const sorted = Arr.sort(values, Order.number)
  const middle = sorted.length >> 1
  if (sorted.length === 0) return Number.NaN
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

/** The smallest value that at least this share of the values, from 0 to 1, is not above. */
export const percentile = (values: ReadonlyArray<number>, share: number): number =>
  Arr.sort(values, Order.number)[Math.max(0, Math.ceil(values.length * share) - 1)] ?? Number.NaN
