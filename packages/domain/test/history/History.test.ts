import {
  type CommandRequest,
  type Event,
  events,
  History,
  Instant,
  Position,
  type RecordedEvent,
  type RelayId
} from "@caravel/domain"
import { decideAll, isMetered, type PendingCommand } from "@caravel/domain/adapter"
import { describe, expect, it } from "@effect/vitest"
import { Array as Arr, DateTime, Effect, Either, HashMap, Record as Rec, Schema, Stream } from "effect"
import { alice, bob, command, context, createAlice, createBob, createOne, empty, instant } from "../given.js"

/** A journal of these events that counts the events read. */
class Recorded {
  read = 0
  largest = 0
  readonly events: ReadonlyArray<RecordedEvent>

  constructor(events: ReadonlyArray<Event>) {
    this.events = events.map((event, index) => ({ ...event, position: Position.make(index + 1) }))
  }

  private readonly page = (limit: number, events: ReadonlyArray<RecordedEvent>) =>
    Effect.sync(() => {
      const page = events.slice(0, limit)
      this.read += page.length
      this.largest = Math.max(this.largest, page.length)
      return page
    })

  readonly history = History.make({
    head: Effect.sync(() => Position.make(this.events.length)),
    positionAt: ({ epochMillis }) =>
      Effect.sync(() => {
        const later = this.events.find(({ createdAt }) => createdAt.epochMillis > epochMillis)
        return Position.make(later === undefined ? this.events.length : later.position - 1)
      }),
    read: (after, limit) => this.page(limit, this.events.slice(after)),
    at: () => Effect.dieMessage("not read here"),
    epoch: Effect.dieMessage("nor asked for"),
    epochs: Effect.dieMessage("nor asked for"),
    verify: Stream.dieMessage("nor verified"),
    rebuild: () => Effect.dieMessage("nor rebuilt"),
    readResource: (resource, after, limit) =>
      this.page(
        limit,
        this.events.filter(({ resourceId, version }) => resourceId === resource.resourceId && version > after)
      ),
    readTenant: (tenant, after, limit) =>
      this.page(limit, this.events.filter((event) => event.tenant === tenant && event.position > after))
  })

  /** The number of events that an effect reads. */
  readonly reads = <A, E>(effect: Effect.Effect<A, E>) =>
    Effect.suspend(() => {
      this.read = 0
      return Effect.map(effect, () => this.read)
    })
}

/** The journal of these commands, each accepted in its second. */
const recorded = (
  commands: ReadonlyArray<CommandRequest>,
  seconds: ReadonlyArray<number> = commands.map((_, n) => n)
) => {
  const undecided = commands.map((command, n): PendingCommand => [command, context(seconds[n]!)])
  return new Recorded(Either.getOrThrowWith(decideAll(empty, undecided), (error) => error).events)
}

const flips = (id: string, count: number) =>
  Arr.makeBy(count, (n) => command(n % 2 === 0 ? "DeactivateRelay" : "ActivateRelay", { id }))

describe("in a journal of 50,000 events", () => {
  const createTwo = command("CreateRelay", { id: "two", tenant: bob, subdomain: "dos" })
  const long = recorded([
    createAlice,
    createBob,
    createTwo,
    ...flips("two", 25_000),
    createOne,
    ...flips("one", 5),
    ...flips("two", 25_000)
  ])
  const { history, reads } = long
  const one = { resourceType: "relay", resourceId: "one" } as const

  it.effect("queries about a relay with 6 events read only those 6", () =>
    Effect.gen(function*() {
      expect(yield* reads(Stream.runDrain(history.events(one)))).toBe(6)
      expect(yield* reads(Stream.runDrain(history.events(one, { limit: 2 })))).toBe(6)
      expect(yield* reads(Stream.runDrain(history.events(one, { order: "newest" })))).toBe(6 + 6)
      expect(yield* reads(history.relay("one", 40_000))).toBe(6)
      expect(yield* reads(history.relay("one", instant(40_000)))).toBe(6)
      expect(yield* reads(history.diff(1, 50_000, one))).toBe(6 + 6)
    }))

  it.effect("a tenant's usage reads only the tenant's events", () =>
    Effect.gen(function*() {
      expect(yield* reads(history.usage(alice, instant(0), instant(60_000)))).toBe(7)
    }))

  it.effect("a difference reads the events in between, and the earlier events of the changed resources", () =>
    Effect.gen(function*() {
      expect(yield* reads(history.diff(25_004, 25_009))).toBe(5 + 1)
      // Nothing is before the creation of the relay.
      expect(yield* reads(history.diff(25_003, 25_009))).toBe(6)
      expect(yield* reads(history.diff(25_003, 25_010))).toBe(7 + 25_001)
      const differences = yield* history.diff(25_003, 25_010)
      expect(differences.map(({ after, before, resourceId }) => [resourceId, before?.version, after?.version])).toEqual(
        [
          ["one", undefined, 6],
          ["two", 25_001, 25_002]
        ]
      )
    }))

  it.effect("in a difference, sockets have a turn before the earlier events of each resource are read", () =>
    Effect.gen(function*() {
      const ids = Arr.makeBy(50, (n) => `r${n}`)
      const many = recorded([
        createAlice,
        ...ids.map((id) => command("CreateRelay", { id, tenant: alice, subdomain: id })),
        ...ids.map((id) => command("DeactivateRelay", { id }))
      ])
      let turns = 0
      const nextTurns = () => void (turns++, pending = setImmediate(nextTurns))
      let pending = setImmediate(nextTurns)
      expect((yield* many.history.diff(51, 101)).length).toBe(50)
      clearImmediate(pending)
      expect(turns).toBeGreaterThanOrEqual(50)
    }))

  it.effect("the state of all resources is read page by page", () =>
    Effect.gen(function*() {
      expect(yield* reads(history.state(1_001))).toBe(1_001)
      const { relays } = yield* history.state(50_009)
      expect(long.largest).toBe(1000)
      expect(HashMap.get(relays, "two" as RelayId)).toMatchObject({ value: { version: 50_001, status: "active" } })
    }))
})

it("every event that can change a status or a plan is metered", () => {
  const metered = Rec.toEntries(events).filter(([, { fields }]) =>
    ["status", "plan"].some((field) => field in fields.changes.fields)
  ).map(([tag]) => tag)
  expect(metered).toEqual([
    "RelayCreated",
    "RelayUpdated",
    "RelayDeactivated",
    "RelayMarkedDelinquent",
    "RelayActivated",
    "RelayImported",
    "RelayReconciled"
  ])
  for (const tag of metered) expect(isMetered(tag)).toBe(true)
})

describe("an instant", () => {
  const decode = Schema.decodeUnknownEither(Instant)
  const millis = (text: unknown) => Either.map(decode(text), ({ epochMillis }) => epochMillis)

  it("is text with a time zone, a date in UTC, or a DateTime", () => {
    for (
      const [text, iso] of [
        ["2026-11-01", "2026-11-01T00:00:00.000Z"],
        ["2026-11-01T00:00Z", "2026-11-01T00:00:00.000Z"],
        ["2024-02-29T23:59:59.5Z", "2024-02-29T23:59:59.500Z"],
        ["2026-11-01T00:00:00.001+05:30", "2026-10-31T18:30:00.001Z"]
      ] as const
    ) expect(millis(text)).toEqual(Either.right(Date.parse(iso)))
    expect(millis(DateTime.unsafeMake(7))).toEqual(Either.right(7))
  })

  it("is nothing else, and the error says what was expected", () => {
    for (
      const text of [
        "2026-11-01T00:00",
        "2026-11-01 00:00Z",
        "2026-02-29",
        "2026-04-31T00:00Z",
        "2026-00-01",
        "2026-11-01T24:00Z",
        "2026-11-01T00:00:00.0001Z",
        "26-11-01",
        "2026",
        "1",
        "now",
        "",
        "2026-11-01\n",
        7,
        null
      ]
    ) {
      const result = decode(text)
      expect(Either.isLeft(result) && result.left.message, `${text}`).toContain("an instant such as 2026-11-01T00:00Z")
    }
  })

  it("has a year of four digits, so that its text is an instant too", () => {
    const [first, last] = [Date.parse("0000-01-01T00:00:00.000Z"), Date.parse("9999-12-31T23:59:59.999Z")]
    for (const at of [first, last]) {
      for (const value of [DateTime.unsafeMake(at), DateTime.toDateUtc(DateTime.unsafeMake(at))]) {
        expect(millis(value)).toEqual(Either.right(at))
        expect(millis(DateTime.formatIso(DateTime.unsafeMake(value)))).toEqual(Either.right(at))
      }
    }
    for (const at of [first - 1, last + 1, 8.64e15, -8.64e15]) {
      for (const value of [DateTime.unsafeMake(at), DateTime.toDateUtc(DateTime.unsafeMake(at))]) {
        const result = decode(value)
        expect(Either.isLeft(result) && result.left.message).toContain("an instant such as 2026-11-01T00:00Z")
      }
    }
    for (const text of ["0000-01-01T00:00+00:01", "9999-12-31T23:59:59.999-00:01"]) {
      expect(Either.isLeft(decode(text)), text).toBe(true)
    }
  })

  it("equals the instant that JavaScript parses, for every day of a leap year and of the next year", () => {
    for (let day = 0; day < 731; day++) {
      const midnight = Date.UTC(2024, 0, 1 + day)
      const date = DateTime.formatIsoDateUtc(DateTime.unsafeMake(midnight))
      expect(millis(date)).toEqual(Either.right(midnight))
    }
  })
})
