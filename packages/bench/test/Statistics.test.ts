import { expect, it } from "@effect/vitest"
import { median, percentile } from "../src/Statistics.js"

it("the median is in the middle, whatever the order", () => {
  expect(median([9, 1, 5])).toBe(5)
  expect(median([4, 1, 3, 100])).toBe(3.5)
  expect(median([10, 9, 100])).toBe(10)
  expect(median([])).toBeNaN()
})

it("a percentile is one of the values, by nearest rank", () => {
  const values = Array.from({ length: 100 }, (_, index) => 100 - index)
  expect(percentile(values, 0.5)).toBe(50)
  expect(percentile(values, 0.99)).toBe(99)
  expect(percentile(values, 1)).toBe(100)
  expect(percentile([7], 0.01)).toBe(7)
  expect(percentile([], 0.5)).toBeNaN()
})
