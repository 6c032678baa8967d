/** `History` by examples: entries and their pages, positions and instants, secrets. */
import { Command, type CommandRequest, decodeCommand, History, type HistoryEntry, Instant } from "@caravel/domain"
import { stateFields } from "@caravel/domain/adapter"
import { describe, expect } from "@effect/vitest"
import { DateTime, Effect, type Layer, Option, Schema, Stream } from "effect"
import { cases } from "./cases.js"
import {
  alice,
  aliceUrl,
  at,
  bob,
  bobUrl,
  furnished,
  invoke,
  journalAfter,
  nobody,
  plain,
  type Services,
  specs
} from "./fixture.js"
import { leaks } from "./secrets.js"

const relayOne = { resourceType: "relay", resourceId: "relay-1" } as const
const tenantAlice = { resourceType: "tenant", resourceId: alice } as const

const entries = (...parameters: Parameters<typeof History.Service["events"]>) =>
  Effect.flatMap(
    History,
    (history) => Effect.map(Stream.runCollect(history.events(...parameters)), (chunk) => [...chunk])
  )

const versions = (entries: ReadonlyArray<HistoryEntry>) => entries.map(({ event }) => event.version)

const numbers = (first: number, last: number) => Array.from({ length: last - first + 1 }, (_, n) => first + n)

/** Activates and deactivates the relay of `furnished` in turn, for `count` events, a thousand at a time. */
const turns = (count: number) =>
  Effect.gen(function*() {
    const { submit } = yield* Command
    const activate: CommandRequest = yield* decodeCommand({ _tag: "ActivateRelay", id: "relay-1" })
    const deactivate: CommandRequest = yield* decodeCommand({ _tag: "DeactivateRelay", id: "relay-1" })
    for (let rest = count; rest > 0; rest -= 1000) {
      yield* submit(Array.from({ length: Math.min(rest, 1000) }, (_, n) => n % 2 === 0 ? activate : deactivate))
    }
  })

/** The changes of a case's event: its fields whose values differ from the row's. */
const expectedChanges = (before: object, after: object) =>
  Object.entries(after).flatMap(([field, value]) => {
    const was = (before as { readonly [field: string]: unknown })[field]
    return was === value ? [] : [was === undefined ? { field, after: value } : { field, before: was, after: value }]
  })

export const timeTravel = <E>(layer: Layer.Layer<Services, E>) => {
  const test = specs(layer)

  test(
    "an empty journal has no state, at position 0 and at any instant",
    Effect.gen(function*() {
      const history = yield* History
      expect(yield* history.position(0)).toBe(0)
      expect(yield* history.position("2026-01-01")).toBe(0)
      expect(plain(yield* history.state("2999-12-31T23:59:59.999Z"))).toMatchObject({ tenants: { values: [] } })
      expect(yield* history.tenant(alice, 0)).toEqual(Option.none())
      expect(yield* history.relay("relay-1", 0)).toEqual(Option.none())
      expect(yield* history.diff(0, 0)).toEqual([])
      expect(yield* history.usage(alice, "2026-01-01", "2026-02-01")).toEqual([])
      for (const order of ["oldest", "newest"] as const) expect(yield* entries(relayOne, { order })).toEqual([])
    })
  )

  describe.each(cases.map((item) => [item.event, item] as const))("%s", (_, item) => {
    test(
      "is an entry with the old and the new values of the changed fields",
      Effect.gen(function*() {
        const history = yield* History
        yield* furnished
        if (item.given) yield* invoke(...item.given)
        const before = item.resource === "tenant"
          ? plain(Option.getOrUndefined(yield* history.tenant(item.key, "2999-01-01")))
          : plain(Option.getOrUndefined(yield* history.relay(item.key, "2999-01-01")))
        const now = "2026-02-01T00:00:00.000Z"
        yield* invoke(item.method, item.args(item.key)).pipe(at(now))
        const resource = { resourceType: item.resource, resourceId: item.key }
        const [entry] = yield* entries(resource, { order: "newest", limit: 1 })
        expect(plain(entry!.event)).toMatchObject({ _tag: item.event, ...resource, createdAt: now })
        const after = JSON.parse(JSON.stringify(item.changes).replaceAll("\"now\"", JSON.stringify(now)))
        const isSecret = ({ field }: { readonly field: string }) => field === "nwcUrl"
        const changes = plain(entry!.changes)
        expect(new Set(changes.filter((change) => !isSecret(change)))).toEqual(
          new Set(
            expectedChanges(before ?? {}, after).filter(({ field }) => field !== "tenant" && field !== "nwcUrl")
          )
        )
        expect(changes.some(isSecret)).toBe("nwcUrl" in after)
      })
    )
  })

  test(
    "changes are in the order of the resource's fields",
    Effect.gen(function*() {
      const history = yield* History
      yield* furnished
      for (const resource of [tenantAlice, relayOne]) {
        for (const { changes } of [...yield* entries(resource), ...yield* history.diff(0, 8, resource)]) {
          const changed = new Set<string>(changes.map(({ field }) => field))
          expect([...changed]).toEqual(stateFields[resource.resourceType].filter((field) => changed.has(field)))
        }
      }
    })
  )

  test(
    "an event that sets a field to its current value is an entry without changes",
    Effect.gen(function*() {
      yield* furnished
      yield* invoke("markRelayDelinquent", [{ id: "relay-1" }])
      const [entry] = yield* entries(relayOne, { order: "newest" })
      expect(entry).toMatchObject({ event: { _tag: "RelayMarkedDelinquent", version: 5 }, changes: [] })
    })
  )

  test(
    "pages in both orders, of any size and after any version, are parts of the complete list",
    Effect.gen(function*() {
      yield* furnished
      yield* turns(2200)
      const last = 2204
      const oldest = yield* entries(relayOne)
      expect(versions(oldest)).toEqual(numbers(1, last))
      expect(oldest[4]!.changes).toEqual([{ field: "status", before: "delinquent", after: "active" }])
      expect(oldest[2000]!.changes).toEqual([{ field: "status", before: "inactive", after: "active" }])
      const newest = yield* entries(relayOne, { order: "newest" })
      expect(newest).toEqual([...oldest].reverse())
      for (const limit of [0, 1, 999, 1000, 1001, 5000]) {
        for (const after of [0, 1, 4, 999, 1000, 1001, 2000, 2203, 2204, 3000]) {
          expect(yield* entries(relayOne, { after, limit })).toEqual(oldest.slice(after, after + limit))
          const before = newest.filter(({ event }) => event.version < after)
          expect(yield* entries(relayOne, { order: "newest", after, limit })).toEqual(before.slice(0, limit))
        }
      }
      expect(versions(yield* entries(tenantAlice, { order: "newest" }))).toEqual([4, 3, 2, 1])
    }),
    120_000
  )

  test(
    "a resource can be passed as one of its events or activities",
    Effect.gen(function*() {
      yield* furnished
      const events = yield* journalAfter()
      for (const event of events) {
        const own = yield* entries(event)
        expect(own.map(({ event }) => event)).toEqual(
          events.filter(({ resourceId }) => resourceId === event.resourceId)
        )
      }
    })
  )

  test(
    "a resource that never existed is nowhere in the past, and malformed input is a ParseError",
    Effect.gen(function*() {
      const history = yield* History
      yield* furnished
      expect(yield* entries({ resourceType: "relay", resourceId: "missing" })).toEqual([])
      expect(yield* history.tenant(nobody, 8)).toEqual(Option.none())
      expect(yield* history.relay("missing", 8)).toEqual(Option.none())
      expect(yield* history.relay("relay-1", 4)).toEqual(Option.none())
      expect(yield* history.diff(0, 8, { resourceType: "relay", resourceId: "missing" })).toEqual([])
      expect(yield* history.usage(nobody, "2026-01-01", "2027-01-01")).toEqual([])
      const malformed = [
        entries({ resourceType: "relay", resourceId: "" }),
        entries({ resourceType: "tenant", resourceId: "relay-1" }),
        entries(relayOne, { limit: -1 }),
        entries(relayOne, { after: 0.5 }),
        history.tenant("x", 1),
        history.relay("", 1),
        history.diff(0, 1, { resourceType: "relay", resourceId: "" }),
        history.usage("x", "2026-01-01", "2026-01-02"),
        history.usage(alice, "2026-01-02", "2026-01-01"),
        history.usage(alice, "", "2026-01-01")
      ]
      for (const effect of malformed) {
        const error = yield* Effect.flip(Effect.asVoid<unknown, { readonly _tag: string }, History>(effect))
        expect(error._tag).toBe("ParseError")
      }
    })
  )

  test(
    "a position after the head is PositionAhead, and a malformed one a ParseError",
    Effect.gen(function*() {
      const history = yield* History
      yield* furnished
      for (const position of [9, 1000]) {
        const error = { _tag: "PositionAhead", position, head: 8 }
        expect(yield* Effect.flip(history.state(position))).toMatchObject(error)
        expect(yield* Effect.flip(history.relay("relay-1", position))).toMatchObject(error)
        expect(yield* Effect.flip(history.tenant(alice, position))).toMatchObject(error)
        expect(yield* Effect.flip(history.diff(position, 1))).toMatchObject(error)
        expect(yield* Effect.flip(history.diff(1, position, relayOne))).toMatchObject(error)
      }
      for (const at of [-1, 1.5, NaN, Infinity, "7", "now", "2026-11-01T00:00", "2026-02-30", "2026-13-01", ""]) {
        expect((yield* Effect.flip(history.position(at)))._tag).toBe("ParseError")
      }
    })
  )

  test(
    "an instant means the last position that is not later, to the millisecond and in any time zone",
    Effect.gen(function*() {
      const history = yield* History
      yield* furnished
      const activate = invoke("activateRelay", [{ id: "relay-1" }])
      yield* activate.pipe(at("2026-01-02T12:00:00.500Z"))
      yield* activate.pipe(at("2026-01-02T12:00:00.500Z"))
      const expected = [
        ["2025-12-31T23:59:59.999Z", 0],
        ["2026-01-01", 8],
        ["2026-01-01T01:00+01:00", 8],
        ["2026-01-01T00:59:59+01:00", 0],
        ["2026-01-02T12:00:00.499Z", 8],
        ["2026-01-02T12:00:00.500Z", 10],
        ["2026-01-02T07:00:00.500-05:00", 10],
        ["9999-12-31T23:59:59.999Z", 10]
      ] as const
      for (const [text, position] of expected) {
        expect(yield* history.position(text)).toBe(position)
        const instant = yield* Schema.decode(Instant)(text)
        expect(yield* history.position(instant)).toBe(position)
        expect(yield* history.position(DateTime.unsafeMake(instant.epochMillis))).toBe(position)
        const date = DateTime.toDateUtc(instant)
        expect(yield* history.position(date)).toBe(position)
        for (const at of [text, date]) {
          expect(plain(yield* history.state(at))).toEqual(plain(yield* history.state(position)))
          expect(plain(yield* history.relay("relay-1", at))).toEqual(plain(yield* history.relay("relay-1", position)))
          expect(plain(yield* history.tenant(alice, at))).toEqual(plain(yield* history.tenant(alice, position)))
          expect(plain(yield* history.diff(0, at))).toEqual(plain(yield* history.diff(0, position)))
        }
      }
    })
  )

  test(
    "once a later event exists, appended events do not change an instant's position, whatever their clocks return",
    Effect.gen(function*() {
      const history = yield* History
      yield* furnished
      const activate = (second: number) =>
        invoke("activateRelay", [{ id: "relay-1" }]).pipe(
          at(DateTime.formatIso(DateTime.unsafeMake(Date.UTC(2026, 1, 1, 0, 0, second))))
        )
      const last = (yield* journalAfter()).length
      for (const second of [3, 1, 2, 9, 4, 8]) yield* activate(second)
      const positions = Effect.forEach(
        numbers(0, 8),
        (second) => history.position(DateTime.unsafeMake(Date.UTC(2026, 1, 1, 0, 0, second)))
      )
      const before = [0, 0, 0, 3, 3, 3, 3, 3, 3].map((later) => last + later)
      expect(yield* positions).toEqual(before)
      // Meanwhile the length of the journal passes powers of two, at which a binary search may go wrong.
      for (const second of numbers(0, 30).map((n) => n * 7 % 13)) {
        yield* activate(second)
        expect(yield* positions).toEqual(before)
      }
    })
  )

  test(
    "history records that a secret was set, replaced and cleared, and no answer contains it",
    Effect.gen(function*() {
      const history = yield* History
      const command = yield* Command
      yield* command.createTenant({ pubkey: alice, nwcUrl: aliceUrl })
      yield* command.updateTenant({ pubkey: alice, nwcUrl: bobUrl })
      yield* command.updateTenant({ pubkey: alice, nwcUrl: null })
      yield* command.createTenant({ pubkey: bob, nwcUrl: aliceUrl })
      const own = yield* entries(tenantAlice)
      expect(
        own.map(({ changes }) =>
          changes.filter(({ field }) => field === "nwcUrl").map((
            { after, before }
          ) => [before === null, after === null])
        )
      ).toEqual([[[false, false]], [[false, false]], [[false, true]]])
      const everything = {
        own,
        states: yield* Effect.forEach(numbers(0, 4), (position) => history.state(position)),
        then: yield* history.tenant(alice, 1),
        diff: yield* history.diff(0, 4),
        back: yield* history.diff(4, 0)
      }
      expect(leaks(everything, "SECRET")).toBe(false)
    })
  )
}
