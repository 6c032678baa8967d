/** `History.usage` by examples. Bills are computed from it. */
import { History, Instant } from "@caravel/domain"
import { expect } from "@effect/vitest"
import { DateTime, Effect, type Layer, Schema } from "effect"
import { alice, at, bob, invoke, type MethodName, type Services, specs } from "./fixture.js"

/** The usage of a period, whose instants are passed as texts and as dates. */
const usage = (tenant: string, from: string, to: string) =>
  Effect.gen(function*() {
    const history = yield* History
    const usage = yield* history.usage(tenant, from, to)
    const [start, end] = yield* Effect.all([Schema.decode(Instant)(from), Schema.decode(Instant)(to)])
    expect(yield* history.usage(tenant, DateTime.toDateUtc(start), DateTime.toDateUtc(end))).toEqual(usage)
    return usage.map(({ from, plan, relay, to }) =>
      [relay, plan, DateTime.formatIso(from), DateTime.formatIso(to)].join(" ")
    )
  })

const november = ["2026-11-01", "2026-12-01"] as const

const on = (instant: string, method: MethodName, fields: object, ...rest: ReadonlyArray<unknown>) =>
  invoke(method, [{ id: "r", ...fields }, ...rest]).pipe(at(instant))

/** Creates two tenants. The first has a relay on plan `basic` since noon of the given day. */
const since = (day: string) =>
  Effect.gen(function*() {
    yield* invoke("createTenant", [{ pubkey: alice }]).pipe(at("2026-01-01T00:00:00.000Z"))
    yield* invoke("createTenant", [{ pubkey: bob }]).pipe(at("2026-01-01T00:00:00.000Z"))
    yield* on(`${day}T12:00:00.000Z`, "createRelay", { tenant: alice, subdomain: "r", plan: "basic" })
  })

export const usageOverTime = <E>(layer: Layer.Layer<Services, E>) => {
  const test = specs(layer)

  test(
    "a relay that was always active is one interval, cut to the period, which includes its first instant but not its last",
    Effect.gen(function*() {
      yield* since("2026-10-10")
      expect(yield* usage(alice, ...november)).toEqual(["r basic 2026-11-01T00:00:00.000Z 2026-12-01T00:00:00.000Z"])
      expect(yield* usage(alice, "2026-10-10T12:00:00.000Z", "2026-10-10T12:00:00.001Z")).toEqual([
        "r basic 2026-10-10T12:00:00.000Z 2026-10-10T12:00:00.001Z"
      ])
      expect(yield* usage(alice, "2026-10-10T11:59:59.999Z", "2026-10-10T12:00:00.000Z")).toEqual([])
      expect(yield* usage(alice, "2026-11-01", "2026-11-01")).toEqual([])
      expect(yield* usage(alice, "2026-10-01", "2026-11-01")).toEqual([
        "r basic 2026-10-10T12:00:00.000Z 2026-11-01T00:00:00.000Z"
      ])
      expect(yield* usage(bob, ...november)).toEqual([])
    })
  )

  test(
    "a plan change in the middle of a month results in two intervals, and other changes have no effect",
    Effect.gen(function*() {
      yield* since("2026-10-10")
      yield* on("2026-11-05T00:00:00.000Z", "updateRelay", { infoName: "R", plan: "basic" })
      yield* on("2026-11-06T00:00:00.000Z", "failRelaySync", {}, "no")
      yield* on("2026-11-10T08:00:00.000Z", "updateRelay", { plan: "growth" })
      yield* on("2026-11-11T00:00:00.000Z", "activateRelay", {})
      expect(yield* usage(alice, ...november)).toEqual([
        "r basic 2026-11-01T00:00:00.000Z 2026-11-10T08:00:00.000Z",
        "r growth 2026-11-10T08:00:00.000Z 2026-12-01T00:00:00.000Z"
      ])
    })
  )

  test(
    "an inactive or delinquent relay has no usage, whatever its plan",
    Effect.gen(function*() {
      yield* since("2026-10-10")
      yield* on("2026-11-05T00:00:00.000Z", "deactivateRelay", {})
      yield* on("2026-11-06T00:00:00.000Z", "updateRelay", { plan: "growth" })
      yield* on("2026-11-07T00:00:00.000Z", "activateRelay", {})
      yield* on("2026-11-20T00:00:00.000Z", "markRelayDelinquent", {})
      yield* on("2026-11-21T00:00:00.000Z", "deactivateRelay", {})
      yield* on("2026-11-22T00:00:00.000Z", "activateRelay", {})
      expect(yield* usage(alice, ...november)).toEqual([
        "r basic 2026-11-01T00:00:00.000Z 2026-11-05T00:00:00.000Z",
        "r growth 2026-11-07T00:00:00.000Z 2026-11-20T00:00:00.000Z",
        "r growth 2026-11-22T00:00:00.000Z 2026-12-01T00:00:00.000Z"
      ])
      expect(yield* usage(alice, "2026-11-05", "2026-11-07")).toEqual([])
      // Later events do not change the usage of a period.
      for (const to of ["2026-11-04T23:59:59.999Z", "2026-11-05T00:00:00.000Z"]) {
        expect(yield* usage(alice, "2026-11-02", to)).toEqual([`r basic 2026-11-02T00:00:00.000Z ${to}`])
      }
    })
  )

  test(
    "a state that lasted no time is no interval and splits none",
    Effect.gen(function*() {
      yield* since("2026-10-10")
      const noon = "2026-11-10T12:00:00.000Z"
      yield* on(noon, "deactivateRelay", {})
      yield* on(noon, "updateRelay", { plan: "growth" })
      yield* on(noon, "updateRelay", { plan: "basic" })
      yield* on(noon, "activateRelay", {})
      expect(yield* usage(alice, ...november)).toEqual(["r basic 2026-11-01T00:00:00.000Z 2026-12-01T00:00:00.000Z"])
    })
  )

  test(
    "relays are sorted by id, each with its intervals in order, including those that are now inactive",
    Effect.gen(function*() {
      yield* since("2026-10-10")
      yield* on("2026-11-02T00:00:00.000Z", "createRelay", { id: "b", tenant: alice, subdomain: "b" })
      yield* on("2026-11-03T00:00:00.000Z", "createRelay", { id: "A", tenant: alice, subdomain: "a" })
      yield* on("2026-11-04T00:00:00.000Z", "deactivateRelay", {})
      yield* on("2026-11-05T00:00:00.000Z", "deactivateRelay", { id: "b" })
      yield* on("2026-11-06T00:00:00.000Z", "activateRelay", {})
      yield* on("2026-11-07T00:00:00.000Z", "deactivateRelay", {})
      expect(yield* usage(alice, ...november)).toEqual([
        "A free 2026-11-03T00:00:00.000Z 2026-12-01T00:00:00.000Z",
        "b free 2026-11-02T00:00:00.000Z 2026-11-05T00:00:00.000Z",
        "r basic 2026-11-01T00:00:00.000Z 2026-11-04T00:00:00.000Z",
        "r basic 2026-11-06T00:00:00.000Z 2026-11-07T00:00:00.000Z"
      ])
    })
  )

  test(
    "an event that changes neither status nor plan affects no interval, however wrong its clock was",
    Effect.gen(function*() {
      yield* since("2026-11-10")
      yield* on("2036-01-01T00:00:00.000Z", "updateRelay", { infoName: "R" })
      yield* on("1970-01-01T00:00:00.000Z", "activateRelay", {})
      yield* on("2026-11-20T00:00:00.000Z", "deactivateRelay", {})
      yield* on("2036-01-01T00:00:00.000Z", "markRelayDelinquent", {})
      expect(yield* usage(alice, "2020-01-01", "2040-01-01")).toEqual([
        "r basic 2026-11-10T12:00:00.000Z 2026-11-20T00:00:00.000Z"
      ])
    })
  )

  test(
    "an event from a clock that was far ahead or behind counts from its neighbour's instant",
    Effect.gen(function*() {
      yield* since("2026-11-10")
      yield* on("2036-01-01T00:00:00.000Z", "deactivateRelay", {})
      yield* on("2026-11-15T00:00:00.000Z", "activateRelay", {})
      yield* on("2026-11-16T00:00:00.000Z", "updateRelay", { plan: "growth" })
      yield* on("1970-01-01T00:00:00.000Z", "deactivateRelay", {})
      yield* on("2026-11-20T00:00:00.000Z", "activateRelay", {})
      yield* on("2026-11-21T00:00:00.000Z", "deactivateRelay", {})
      expect(yield* usage(alice, "1960-01-01", "2040-01-01")).toEqual([
        "r basic 2026-11-10T12:00:00.000Z 2026-11-16T00:00:00.000Z",
        "r growth 2026-11-20T00:00:00.000Z 2026-11-21T00:00:00.000Z"
      ])
    })
  )

  test(
    "consecutive events from a clock that was far ahead or behind count from their neighbours' instants",
    Effect.gen(function*() {
      yield* since("2026-01-01")
      // A process whose clock is a year ahead, and one whose clock begins in 1970.
      yield* on("2027-01-09T00:00:00.000Z", "deactivateRelay", {})
      yield* on("2027-01-09T00:05:00.000Z", "activateRelay", {})
      yield* on("2026-01-10T00:00:00.000Z", "deactivateRelay", {})
      yield* on("2026-06-01T00:00:00.000Z", "activateRelay", {})
      yield* on("1970-01-01T00:00:00.000Z", "updateRelay", { plan: "growth" })
      yield* on("1970-01-01T00:05:00.000Z", "updateRelay", { plan: "free" })
      yield* on("2026-06-02T00:00:00.000Z", "deactivateRelay", {})
      expect(yield* usage(alice, "1960-01-01", "2040-01-01")).toEqual([
        "r basic 2026-01-01T12:00:00.000Z 2026-01-10T00:00:00.000Z",
        "r free 2026-06-01T00:00:00.000Z 2026-06-02T00:00:00.000Z"
      ])
    })
  )

  test(
    "if it is unknown which of two clocks was wrong, the earlier event's instant counts, and no time is metered twice",
    Effect.gen(function*() {
      yield* since("2026-11-10")
      yield* on("2026-11-20T00:00:00.000Z", "deactivateRelay", {})
      yield* on("2026-11-15T00:00:00.000Z", "activateRelay", { plan: "basic" })
      yield* on("2026-11-22T00:00:00.000Z", "updateRelay", { plan: "growth" })
      yield* on("2026-11-21T00:00:00.000Z", "updateRelay", { plan: "free" })
      yield* on("2026-11-24T00:00:00.000Z", "updateRelay", { plan: "basic" })
      yield* on("2026-11-25T00:00:00.000Z", "deactivateRelay", {})
      expect(yield* usage(alice, ...november)).toEqual([
        "r basic 2026-11-10T12:00:00.000Z 2026-11-22T00:00:00.000Z",
        "r free 2026-11-22T00:00:00.000Z 2026-11-24T00:00:00.000Z",
        "r basic 2026-11-24T00:00:00.000Z 2026-11-25T00:00:00.000Z"
      ])
    })
  )
}
