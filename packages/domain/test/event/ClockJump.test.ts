import { Position } from "@caravel/domain"
import { clockMessage, makeClockReport } from "@caravel/domain/adapter"
import { describe, expect, it } from "@effect/vitest"
import { DateTime, Effect, Logger, Metric } from "effect"

const jump = (position: number) => ({
  _tag: "ClockJump" as const,
  position: Position.make(position),
  createdAt: DateTime.unsafeMake("2026-01-01T00:00:00Z"),
  previous: DateTime.unsafeMake("2026-01-02T03:04:05Z")
})

const counted = Effect.map(
  Metric.snapshot,
  (pairs) =>
    pairs.reduce((sum, { metricKey: { name, tags }, metricState }) => {
      const isJump = name === "caravel_clock_findings_total" && tags.some(({ value }) => value === "jump")
      return isJump && "count" in metricState ? sum + Number(metricState.count) : sum
    }, 0)
)

describe("a wrong clock", () => {
  it("is described with its two largest units", () => {
    expect(clockMessage(jump(7))).toBe(
      "The event at position 7 has the instant 2026-01-01T00:00:00.000Z, 1d 3h earlier than that of the previous event. " +
        "One of the two was written by a wrong clock: synchronize the clocks of all processes, and check the bills of that time."
    )
    const offset = (millis: number) => clockMessage({ _tag: "ClockOffset", millis })
    expect(offset(361_000)).toBe(
      "The clock of this process is 6m 1s ahead of the database server's. " +
        "Synchronize both clocks: the events that this process writes carry its own."
    )
    expect(offset(-400_000)).toContain("The clock of this process is 6m 40s behind the database server's. ")
  })

  it.effect("is counted each time, and logged at most once per minute: the last finding of a report", () =>
    Effect.gen(function*() {
      const logged: Array<unknown> = []
      const logger = Logger.make(({ message }) => logged.push(message))
      const before = yield* counted
      const report = makeClockReport()
      const reports = Effect.forEach([[], [jump(1), jump(2)], [], [jump(3)]], report)
      yield* Effect.provide(reports, Logger.replace(Logger.defaultLogger, logger))
      expect(logged.flat()).toEqual([clockMessage(jump(2))])
      expect((yield* counted) - before).toBe(3)
    }))
})
