import { GivenTest } from "@caravel/conformance"
import { ActivityFeed, Command, History, Journal, Position, Query } from "@caravel/domain"
import { Memory } from "@caravel/memory"
import { Consumer } from "@caravel/pubsub"
import { event, journalOf, pubkey, relay, tenant } from "@caravel/testing"
import { describe, expect, it } from "@effect/vitest"
import { Chunk, DateTime, Effect, Option, Redacted, Stream } from "effect"

GivenTest.suite("Memory", Memory.layer, Memory.layerWith)

const url = "nostr+walletconnect://wallet?secret=1"

const drifts = Effect.map(
  Effect.flatMap(Journal, ({ verify }) => Stream.runCollect(verify)),
  (steps) => Chunk.toReadonlyArray(steps).flatMap(({ differences }) => differences)
)

describe("a given journal", () => {
  const journal = journalOf(
    event("TenantCreated", { changes: { nwcUrl: `${url}1` } }),
    event("RelayCreated"),
    event("RelayDeactivated"),
    event("TenantUpdated", { changes: { nwcUrl: url } })
  )

  it.scoped("is the past of rows, history, feeds and consumers", () =>
    Effect.gen(function*() {
      const query = yield* Query
      expect(yield* query.relays).toMatchObject([{ id: "main", status: "inactive", version: 2 }])
      expect((yield* query.tenants).map(({ nwcUrl }) => nwcUrl)).toEqual([Redacted.make(url)])
      expect(yield* drifts).toEqual([])

      const before = yield* (yield* History).relay("main", 2)
      expect(Option.map(before, ({ status }) => status)).toEqual(Option.some("active"))

      const { position } = yield* (yield* Command).activateRelay({ id: "main" }).pipe(Command.expecting(2))
      expect(position).toBe(5)
      const feed = yield* Stream.runCollect(Stream.take((yield* ActivityFeed).since(2), 3))
      expect([...feed].map(({ activityType }) => activityType)).toEqual([
        "deactivate_relay",
        "update_tenant",
        "activate_relay"
      ])
      const handled: Array<number> = []
      yield* Effect.fork(Consumer.run({
        name: "all",
        from: "beginning",
        handle: (activity) => Effect.sync(() => handled.push(activity.position))
      }))
      yield* Consumer.awaitPosition("all", position)
      expect(handled).toEqual([1, 2, 3, 4, 5])
    }).pipe(Effect.provide(Memory.layerWith(journal))))

  it.effect("without its secrets has none, and verify reports them", () =>
    Effect.gen(function*() {
      expect((yield* (yield* Query).tenants).map(({ nwcUrl }) => nwcUrl)).toEqual([null])
      expect(yield* drifts).toMatchObject([{ kind: "lost", field: "nwcUrl" }])
    }).pipe(Effect.provide(Memory.layerWith({ events: journal.events }))))

  // Another tenant's events had the other positions.
  const [created, relayCreated, deactivated] = journal.events
  const part = [[2, created], [4, relayCreated], [5, deactivated]] as const

  it.effect("that is a part of another one has positions from 1", () =>
    Effect.gen(function*() {
      const { head, read } = yield* Journal
      const { position } = yield* (yield* Command).activateRelay({ id: "main" })
      expect(position).toBe(4)
      expect(yield* head).toBe(4)
      expect((yield* read(Position.make(0), 10)).map(({ position }) => position)).toEqual([1, 2, 3, 4])
    }).pipe(Effect.provide(Memory.layerWith({ events: part.map(([position, event]) => ({ ...event!, position })) }))))
})

describe("given tenants and relays", () => {
  const late = "2026-01-31T00:00:00.000Z"
  const bob = pubkey("bob")

  it.effect("are recorded as imported, in the order of their creation", () =>
    Effect.gen(function*() {
      const query = yield* Query
      expect(yield* query.tenants).toMatchObject([{ pubkey: pubkey("alice"), nwcUrl: Redacted.make(url) }, {
        pubkey: bob,
        pastDueAt: DateTime.unsafeMake(late),
        version: 1
      }])
      expect(yield* query.relays).toMatchObject([{ id: "main", status: "delinquent", plan: "growth", version: 1 }])
      const events = yield* (yield* Journal).read(0 as never, 10)
      expect(events.map(({ _tag, tenant }) => [_tag, tenant])).toEqual([
        ["TenantImported", pubkey("alice")],
        ["RelayImported", pubkey("alice")],
        ["TenantImported", bob]
      ])
      expect(yield* drifts).toEqual([])
    }).pipe(Effect.provide(Memory.layerWith({
      tenants: [tenant({ pubkey: bob, pastDueAt: late, createdAt: late, version: 7 }), tenant({ nwcUrl: url })],
      relays: [relay({ status: "delinquent", plan: "growth" })]
    }))))

  it.effect("are recorded with each relay after its tenant, and verify does not take that for a wrong clock", () =>
    Effect.gen(function*() {
      const { read, verify } = yield* Journal
      const events = yield* read(Position.make(0), 10)
      expect(events.map(({ _tag, createdAt, tenant }) => [_tag, tenant, createdAt.epochMillis])).toEqual([
        ["TenantImported", pubkey("alice"), 0],
        ["TenantImported", bob, Date.parse(late)],
        ["RelayImported", bob, 0]
      ])
      const steps = yield* Stream.runCollect(verify)
      expect([...steps].flatMap(({ clocks }) => clocks)).toEqual([])
    }).pipe(Effect.provide(Memory.layerWith({
      tenants: [tenant({ pubkey: bob, createdAt: late }), tenant()],
      relays: [relay({ tenant: bob })]
    }))))

  it("must be able to exist together", async () => {
    const refused = [
      [{ tenants: [tenant(), tenant()] }, "two tenants have the same pubkey"],
      [{ tenants: [tenant()], relays: [relay(), relay({ subdomain: "other" })] }, "two relays have the same id"],
      [{ tenants: [tenant()], relays: [relay(), relay({ id: "MAIN" })] }, "two relays have the same subdomain"],
      [{ relays: [relay()] }, `the tenant ${pubkey("alice")} of the relay main is not given`]
    ] as const
    for (const [rows, message] of refused) {
      await expect(Effect.runPromise(Effect.provide(Query, Memory.layerWith(rows)))).rejects.toThrow(message)
    }
  })

  it.effect("and whole fixtures are accepted by commands", () =>
    Effect.gen(function*() {
      const command = yield* Command
      yield* command.createTenant(tenant({ nwcUrl: url, stripeCustomerId: "cus_1" }))
      yield* command.createRelay(relay({ plan: "basic" }))
      expect(yield* (yield* Query).relays).toMatchObject([{ id: "main", plan: "basic" }])
    }).pipe(Effect.provide(Memory.layer)))
})
