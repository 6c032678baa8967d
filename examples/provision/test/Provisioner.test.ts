import { type Activity, ActivityFeed, Command, Journal, Query } from "@caravel/domain"
import { Memory } from "@caravel/memory"
import { Consumer } from "@caravel/pubsub"
import { event, journalOf, pubkey, relay as relayModel } from "@caravel/testing"
import { Provisioner, RelayHost } from "@caravel/workers"
import { describe, expect, it } from "@effect/vitest"
import { Effect, HashMap, Layer, Option, Schedule, Stream } from "effect"
import { FakeHost, type Moment } from "../src/FakeHost.js"
import { asHosted, configuration, world } from "./world.js"

const tenant = pubkey("alice")

/** Waits until the provisioner has done everything that is in the log, its own reports too. */
const settled = Effect.gen(function*() {
  const { head } = yield* Journal
  let position = 0
  while (position < (yield* head)) {
    position = yield* head
    yield* Consumer.awaitPosition(Provisioner.name, position)
  }
})

const hosted = Effect.flatMap(FakeHost, ({ relays }) => relays)

const types = Effect.flatMap(
  Query,
  (query) => Effect.map(query.activity(), (all) => all.map(({ activityType }) => activityType))
)

const relay = (id: string) => Effect.flatMap(Query, (query) => Effect.map(query.relay(id), Option.getOrThrow))

/** The first activity of a type about a relay, from now or before. */
const first = (activityType: Activity["activityType"], id: string) =>
  Effect.flatMap(ActivityFeed, (feed) =>
    feed.since(0).pipe(
      Stream.filter((activity) => activity.activityType === activityType && activity.resourceId === id),
      Stream.runHead
    ))

describe("a relay", () => {
  it.scopedLive("is hosted as it is, reported once a change, and what is reported is not followed", () =>
    Effect.gen(function*() {
      const command = yield* Command
      yield* Effect.forkScoped(Provisioner.run())
      yield* command.createTenant({ pubkey: tenant })
      yield* command.createRelay({ id: "a", tenant, subdomain: "a", plan: "basic" })
      yield* settled
      expect((yield* relay("a")).synced).toBe(true)
      yield* command.updateRelay({ id: "a", subdomain: "new", groupsEnabled: true })
      yield* settled
      yield* command.markRelayDelinquent({ id: "a" })
      yield* settled
      expect(Option.map(HashMap.get(yield* hosted, "a"), configuration)).toEqual(
        Option.some(configuration(asHosted(yield* relay("a"))))
      )
      expect(yield* relay("a")).toMatchObject({ subdomain: "new", status: "delinquent", synced: true })
      expect(yield* types).toEqual([
        "create_tenant",
        "create_relay",
        "complete_relay_sync",
        "update_relay",
        "complete_relay_sync",
        "deactivate_relay",
        "complete_relay_sync"
      ])
    }).pipe(Effect.provide(Layer.merge(Memory.layer, world()))))

  it.scopedLive("whose host takes it and does not say so is put again", () => {
    const calls: Array<Moment> = []
    const trouble = (_: RelayHost.HostedRelay, moment: Moment) =>
      Effect.suspend(() => calls.push(moment) === 2 ? Effect.fail("lost") : Effect.void)
    return Effect.gen(function*() {
      const command = yield* Command
      yield* Effect.forkScoped(Provisioner.run({ retry: Schedule.recurs(1) }))
      yield* command.createTenant({ pubkey: tenant })
      yield* command.createRelay({ id: "a", tenant, subdomain: "a" })
      yield* settled
      expect(calls).toEqual(["received", "applied", "received", "applied"])
      expect(yield* relay("a")).toMatchObject({ synced: true, syncError: "" })
      expect(yield* types).toEqual(["create_tenant", "create_relay", "fail_relay_sync", "complete_relay_sync"])
    }).pipe(Effect.provide(Layer.merge(Memory.layer, world(trouble))))
  })

  it.scopedLive("that the host refuses is reported once, stands aside with what follows, and is tried again", () => {
    let isCured = false
    const seen: Array<string> = []
    const trouble = (relay: RelayHost.HostedRelay, moment: Moment) =>
      Effect.suspend(() => {
        if (relay.id === "bad" && !isCured) return Effect.fail("no")
        if (moment === "applied") seen.push(relay.subdomain)
        return Effect.void
      })
    return Effect.gen(function*() {
      const command = yield* Command
      yield* Effect.forkScoped(Provisioner.run({ retry: Schedule.recurs(2), replayEvery: "20 millis" }))
      yield* command.createTenant({ pubkey: tenant })
      yield* command.createRelay({ id: "bad", tenant, subdomain: "bad1" })
      yield* first("fail_relay_sync", "bad")
      yield* command.updateRelay({ id: "bad", subdomain: "bad2" })
      yield* command.createRelay({ id: "good", tenant, subdomain: "good" })
      yield* settled

      expect(yield* relay("good")).toMatchObject({ synced: true })
      expect(yield* relay("bad")).toMatchObject({ synced: false, syncError: "it answered 503" })
      expect((yield* types).filter((type) => type === "fail_relay_sync")).toHaveLength(1)
      const parked = yield* Consumer.parked(Provisioner.name)
      expect(parked.map(({ activity, error }) => [activity.activityType, error])).toEqual([
        ["create_relay", expect.stringContaining("it answered 503")],
        ["update_relay", null]
      ])

      isCured = true
      yield* first("complete_relay_sync", "bad")
      expect(yield* relay("bad")).toMatchObject({ synced: true, syncError: "" })
      expect([...new Set(seen)]).toEqual(["good", "bad2"])
    }).pipe(Effect.provide(Layer.merge(Memory.layer, world(trouble))))
  })

  const moved = journalOf(
    event("TenantCreated"),
    event("RelayCreated", { changes: { subdomain: "old" } }),
    event("RelayUpdated", { changes: { subdomain: "new" } })
  )

  it.scopedLive("is hosted as it was last, though an older call arrives late", () =>
    Effect.gen(function*() {
      const { relays, url } = yield* FakeHost
      yield* Effect.forkScoped(Provisioner.run())
      yield* settled
      const old = asHosted(relayModel({ subdomain: "old" }))
      const error = yield* Effect.flip(Effect.flatMap(RelayHost.RelayHost, (host) => host.put(old)))
      expect(error).toEqual(new RelayHost.HostError({ id: old.id, reason: "it answered 409" }))
      expect(error.message).not.toContain(url.host)
      expect(Option.map(HashMap.get(yield* relays, "main"), ({ subdomain }) => subdomain)).toEqual(Option.some("new"))
    }).pipe(Effect.provide(Layer.merge(Memory.layerWith(moved), world()))))

  it.scopedLive("may be handled again at any time", () =>
    Effect.gen(function*() {
      const command = yield* Command
      yield* command.createTenant({ pubkey: tenant })
      const activity = yield* command.createRelay({ id: "a", tenant, subdomain: "a" })
      yield* Provisioner.handle(activity)
      const before = HashMap.map(yield* hosted, configuration)
      yield* Provisioner.handle(activity)
      expect(HashMap.map(yield* hosted, configuration)).toEqual(before)
      expect(yield* relay("a")).toMatchObject({ synced: true, syncError: "" })
    }).pipe(Effect.provide(Layer.merge(Memory.layer, world()))))
})
