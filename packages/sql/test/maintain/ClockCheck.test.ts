import { type Drift, Position } from "@caravel/domain"
import { expect, it } from "@effect/vitest"
import { Duration } from "effect"
import { ClockCheck } from "../../src/maintain/ClockCheck.js"

it("the check of clocks leaves out instants that do not exist", () => {
  const drifts: Array<Drift> = []
  const check = new ClockCheck(Duration.minutes(5), (drift) => drifts.push(drift))
  const instants = [1e12, 9e15, 1e12, -9e15, 0, 9e15, 1]
  instants.forEach((instant, index) =>
    check.add(Position.make(index + 1), instant, instant < 1e12 ? 1e12 : null, false)
  )
  expect(check.take()).toMatchObject([{ _tag: "ClockJump", position: 5 }])
  expect(drifts).toEqual([])
})
