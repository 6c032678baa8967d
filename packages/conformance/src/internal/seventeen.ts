/** Every command: its effect, and its refusals of missing resources and malformed input. */
import { ActivityPubSub, Command } from "@caravel/domain"
import { describe, expect, it } from "@effect/vitest"
import { Effect, type Layer } from "effect"
import { type Case, cases } from "./cases.js"
import { alice, at, furnished, invoke, nobody, observe, plain, type Services, specs, unchangedBy } from "./fixture.js"

const now = "2026-02-03T04:05:06.789Z"

interface Row {
  readonly version: number
  readonly [field: string]: unknown
}

const rowsOf = ({ resource }: Case, world: { tenants: ReadonlyArray<Row>; relays: ReadonlyArray<Row> }) =>
  resource === "tenant"
    ? [world.tenants, "pubkey", world.relays] as const
    : [world.relays, "id", world.tenants] as const

/** Runs the command, and compares everything with the case. */
const accepts = (item: Case) =>
  Effect.gen(function*() {
    yield* furnished
    if (item.given !== undefined) yield* invoke(...item.given)
    const queue = yield* Effect.flatMap(ActivityPubSub, ({ subscribe }) => subscribe)
    const before = yield* observe

    const result = yield* invoke(item.method, item.args(item.key)).pipe(at(now))
    const sent = yield* queue.size
    const broadcast = plain([...yield* queue.takeAll])
    const after = yield* observe

    const [rowsBefore, name, othersBefore] = rowsOf(item, before)
    const [rowsAfter, , othersAfter] = rowsOf(item, after)
    const isKey = (row: Row) => row[name] === item.key
    const rowBefore = rowsBefore.find(isKey) ?? { [name]: item.key, createdAt: now, version: 0 }
    const version = rowBefore.version + 1
    const changes = "pastDueAt" in item.changes && item.changes.pastDueAt === "now" ? { pastDueAt: now } : item.changes
    expect(rowsAfter.find(isKey)).toEqual({ ...rowBefore, ...changes, version })
    expect(version).toBe(item.creates ? 1 : item.given ? 6 : 5)
    expect(rowsAfter.filter((row) => !isKey(row))).toEqual(rowsBefore.filter((row) => !isKey(row)))
    expect(othersAfter).toEqual(othersBefore)

    const event = after.events[before.events.length]!
    expect(after.events).toEqual([...before.events, event])
    expect(event).toMatchObject({
      _tag: item.event,
      position: before.events.length + 1,
      tenant: item.resource === "tenant" ? item.key : alice,
      resourceType: item.resource,
      resourceId: item.key,
      version,
      createdAt: now
    })

    const activity = {
      position: event.position,
      id: event.id,
      tenant: event.tenant,
      createdAt: now,
      activityType: item.activity,
      resourceType: item.resource,
      resourceId: item.key
    }
    const logged = item.activity === null ? [] : [activity]
    expect(after.activities).toEqual([...before.activities, ...logged])
    expect(sent).toBe(logged.length)
    expect(broadcast).toEqual(logged)
    expect(plain(result)).toEqual(logged[0])
  })

const refusesMissing = ({ args, creates, method, resource }: Case) =>
  Effect.gen(function*() {
    yield* furnished
    const missing = resource === "tenant" ? nobody : "no-such-relay"
    const call = creates
      ? [{ id: "relay-2", tenant: nobody, subdomain: "two" }]
      : args(missing)
    const { after, before, broadcast, result } = yield* unchangedBy(Effect.flip(invoke(method, call)))
    expect(plain(result)).toMatchObject(
      resource === "tenant"
        ? { _tag: "TenantNotFound", pubkey: missing }
        : creates
        ? { _tag: "TenantNotFound", pubkey: nobody }
        : { _tag: "RelayNotFound", id: missing }
    )
    expect(result.message).toContain(creates ? nobody : missing)
    expect(after).toEqual(before)
    expect(broadcast).toEqual([])
  })

const refusesMalformed = ({ malformed, method }: Case) =>
  Effect.gen(function*() {
    yield* furnished
    const { after, before, broadcast, result } = yield* unchangedBy(
      Effect.forEach(malformed, (args) => Effect.either(invoke(method, args)))
    )
    const tags = result.map((outcome, index) =>
      outcome._tag === "Right" ? ["accepted", malformed[index]] : outcome.left._tag
    )
    expect(tags).toEqual(malformed.map(() => "ParseError"))
    expect(after).toEqual(before)
    expect(broadcast).toEqual([])
  })

export const seventeen = <E>(layer: Layer.Layer<Services, E>) => {
  const test = specs(layer)
  describe.each(cases.map((item) => [item.method, item] as const))("%s", (_, item) => {
    test(
      item.activity === null ? `adds ${item.event} and logs nothing` : `adds ${item.event} and logs ${item.activity}`,
      accepts(item)
    )
    if (item.method !== "createTenant") test("fails for a missing resource and changes nothing", refusesMissing(item))
    test("fails for malformed input and changes nothing", refusesMalformed(item))
  })

  it("seventeen commands: nine log one of eight types, eight log none", () => {
    const logged = cases.flatMap(({ activity }) => activity ?? [])
    expect([cases.length, logged.length, new Set(logged).size]).toEqual([17, 9, 8])
    expect(new Set(cases.map(({ method }) => method)).size).toBe(17)
    expect(new Set(cases.map(({ event }) => event)).size).toBe(17)
  })

  test(
    "the service has these methods, submit and notify, and no others",
    Effect.gen(function*() {
      const methods = cases.map(({ method }): string => method)
      expect(Object.keys(yield* Command).sort()).toEqual([...methods, "submit", "notify"].sort())
    })
  )

  test(
    "activities of consecutive commands are logged and broadcast in order",
    Effect.gen(function*() {
      const queue = yield* Effect.flatMap(ActivityPubSub, ({ subscribe }) => subscribe)
      yield* invoke("createTenant", [{ pubkey: alice }])
      yield* invoke("createRelay", [{ id: "relay-1", tenant: alice, subdomain: "one" }])
      yield* Effect.forEach(cases, ({ args, key, method }) => invoke(method, args(key)))
      const types = cases.flatMap(({ activity }) => activity ?? [])
      const activities = (yield* observe).activities
      expect(activities.map(({ activityType }) => activityType)).toEqual(["create_tenant", "create_relay", ...types])
      expect(plain([...yield* queue.takeAll])).toEqual(activities)
    })
  )
}
