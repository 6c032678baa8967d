/** The invariants that are visible through the services. */
import {
  type Activity,
  ActivityFeed,
  activityOf,
  ActivityPubSub,
  Command,
  type CreateRelay,
  decodeCommand,
  Journal,
  Query
} from "@caravel/domain"
import { expect } from "@effect/vitest"
import { Chunk, Effect, Fiber, type Layer, Random, Stream } from "effect"
import { alice, at, invoke, journalAfter, observe, plain, pubkey, type Services, specs } from "./fixture.js"

const numbers = (length: number) => Array.from({ length }, (_, n) => n)

const subscribe = Effect.flatMap(ActivityPubSub, (pubsub) => pubsub.subscribe)

const createRelay = (id: string) => invoke("createRelay", [{ id, tenant: alice, subdomain: id }])

/** Checks that events, log and broadcast have one order, and that each resource's versions count its events. */
const expectConsistent = (broadcast: Iterable<Activity>) =>
  Effect.gen(function*() {
    const journal = yield* Journal
    const events = yield* journalAfter()
    const { activities, relays, tenants } = yield* observe
    expect(events.map(({ position }) => position)).toEqual(numbers(events.length).map((n) => n + 1))
    expect(yield* journal.head).toBe(events.length)
    expect(activities).toEqual(plain(events.flatMap((event) => activityOf(event) ?? [])))
    expect(plain([...broadcast])).toEqual(activities)
    expect(new Set(events.map(({ id }) => id)).size).toBe(events.length)
    const versions = new Map<string, number>()
    for (const { resourceId, version } of events) {
      expect(version).toBe((versions.get(resourceId) ?? 0) + 1)
      versions.set(resourceId, version)
    }
    const rows = [...tenants, ...relays]
    expect(new Map(rows.map((row) => ["id" in row ? row.id : row.pubkey, row.version]))).toEqual(versions)
    return events
  })

export const invariants = <E>(layer: Layer.Layer<Services, E>) => {
  const test = specs(layer)

  test(
    "feed.since(0) emits 500 concurrent createRelay in order, each once",
    Effect.gen(function*() {
      const feed = yield* ActivityFeed
      const queue = yield* subscribe
      const reader = yield* Effect.fork(Stream.runCollect(Stream.take(feed.since(0), 501)))
      yield* invoke("createTenant", [{ pubkey: alice }])
      const returned = yield* Effect.forEach(numbers(500), (n) => createRelay(`r${n}`), { concurrency: "unbounded" })
      const seen = Chunk.toReadonlyArray(yield* Fiber.join(reader))
      yield* expectConsistent(yield* queue.takeAll)
      expect(plain(seen)).toEqual(plain(yield* Effect.flatMap(Query, (query) => query.activity())))
      expect(new Set(returned.map((activity) => activity?.position)).size).toBe(500)
      expect(new Set(seen.map(({ resourceId }) => resourceId)).size).toBe(501)
    })
  )

  test(
    "concurrent commands on one resource are executed one after another",
    Effect.gen(function*() {
      const queue = yield* subscribe
      yield* invoke("createTenant", [{ pubkey: alice }])
      yield* createRelay("one")
      yield* Effect.forEach(
        numbers(100),
        (n) =>
          n % 3 === 0
            ? invoke("setRelaySubscriptionItem", ["one", `si_${n}`])
            : n % 3 === 1
            ? invoke("deactivateRelay", [{ id: "one" }])
            : invoke("activateRelay", [{ id: "one" }]),
        { concurrency: "unbounded" }
      )
      const events = yield* expectConsistent(yield* queue.takeAll)
      expect(events.length).toBe(102)
    })
  )

  test(
    "an activity that a subscriber receives is committed, and can be read from the database",
    Effect.gen(function*() {
      const query = yield* Query
      const journal = yield* Journal
      const queue = yield* subscribe
      const check = Effect.gen(function*() {
        const activity = yield* queue.take
        const [event] = yield* journalAfter(activity.position - 1)
        expect(event?.id).toBe(activity.id)
        expect(yield* journal.head).toBeGreaterThanOrEqual(activity.position)
        const [logged] = yield* query.activity({ after: activity.position - 1, limit: 1 })
        expect(logged?.id).toBe(activity.id)
        if (activity.resourceType === "relay") expect((yield* query.relay(activity.resourceId))._tag).toBe("Some")
        else expect((yield* query.tenant(activity.resourceId))._tag).toBe("Some")
      })
      const checks = yield* Effect.fork(Effect.repeatN(check, 40))
      yield* invoke("createTenant", [{ pubkey: alice }])
      yield* Effect.forEach(numbers(40), (n) => createRelay(`r${n}`), { concurrency: 8 })
      yield* Fiber.join(checks)
    })
  )

  test(
    "a command returns after its activity was sent to every subscriber",
    Effect.gen(function*() {
      const queues = yield* Effect.all([subscribe, Effect.flatMap(Command, ({ notify }) => notify.subscribe)])
      yield* invoke("createTenant", [{ pubkey: alice }])
      for (const n of numbers(20)) {
        const activity = yield* createRelay(`r${n}`)
        for (const queue of queues) {
          expect(yield* queue.size).toBe(n + 2)
          expect(queue.unsafeSize()).toMatchObject({ value: n + 2 })
        }
        expect(activity?.resourceId).toBe(`r${n}`)
      }
      const [one, two] = yield* Effect.all([queues[0].takeAll, queues[1].takeAll])
      expect(plain([...one])).toEqual(plain([...two]))
      yield* expectConsistent(one)
    })
  )

  test(
    "the activity of each of many concurrent commands was sent when the command returns",
    Effect.gen(function*() {
      const queue = yield* subscribe
      yield* invoke("createTenant", [{ pubkey: alice }])
      const seen = new Set<string>()
      yield* Effect.forEach(numbers(50), (n) =>
        Effect.gen(function*() {
          const activity = yield* createRelay(`r${n}`)
          for (const { id } of yield* queue.takeAll) seen.add(id)
          expect(seen.has(activity!.id)).toBe(true)
        }), { concurrency: "unbounded" })
      expect(seen.size).toBe(51)
    })
  )

  test(
    "instants come from the Effect Clock, and event ids contain them",
    Effect.gen(function*() {
      const instant = "2031-07-08T09:10:11.123Z"
      const activity = yield* invoke("createTenant", [{ pubkey: alice }]).pipe(at(instant))
      yield* invoke("setTenantPastDue", [alice]).pipe(at("2031-07-08T09:10:11.124Z"))
      const { activities, events, tenants } = yield* observe
      expect(activities).toEqual([plain(activity)])
      expect(activities[0]?.createdAt).toBe(instant)
      expect(events.map(({ createdAt }) => createdAt)).toEqual([instant, "2031-07-08T09:10:11.124Z"])
      expect(tenants).toMatchObject([{ createdAt: instant, pastDueAt: "2031-07-08T09:10:11.124Z" }])
      // UUIDv7: the first 48 bits are the milliseconds.
      expect(activities[0]?.id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
      expect(parseInt(activities[0]!.id.replace("-", "").slice(0, 12), 16)).toBe(Date.parse(instant))
    })
  )

  test(
    "an interrupted caller's command has happened or has not, and the next one works",
    Effect.gen(function*() {
      const queue = yield* subscribe
      const { submit } = yield* Command
      yield* invoke("createTenant", [{ pubkey: alice }])
      const random = Random.make("interruptions")
      const pair = (n: number) =>
        Effect.flatMap(
          Effect.forEach([`p${n}-a`, `p${n}-b`], (id) =>
            Effect.map(decodeCommand({ _tag: "CreateRelay", id, tenant: alice, subdomain: id }), (c) =>
              c as CreateRelay)),
          submit
        )
      const outcomes = yield* Effect.forEach(numbers(150), (n) =>
        Effect.gen(function*() {
          const fiber = yield* Effect.fork(n % 3 === 0 ? Effect.asVoid(pair(n)) : Effect.asVoid(createRelay(`r${n}`)))
          for (let left = yield* random.nextIntBetween(0, 12); left > 0; left--) yield* Effect.yieldNow()
          return yield* Fiber.interrupt(fiber)
        }), { concurrency: 25 })

      const after = yield* createRelay("after")
      expect(after?.resourceId).toBe("after")
      const events = yield* expectConsistent(yield* queue.takeAll)
      const ids = new Set<string>(events.map(({ resourceId }) => resourceId))
      for (const n of numbers(150)) {
        const happened = n % 3 === 0 ? [ids.has(`p${n}-a`), ids.has(`p${n}-b`)] : [ids.has(`r${n}`)]
        expect(new Set(happened).size).toBe(1)
        // Every answer that was returned is correct.
        if (outcomes[n]!._tag === "Success") expect(happened[0]).toBe(true)
      }
    })
  )

  test(
    "callers that are all interrupted at once leave nothing half done and no lock held",
    Effect.gen(function*() {
      const queue = yield* subscribe
      yield* invoke("createTenant", [{ pubkey: alice }])
      const callers = yield* Effect.forEach(numbers(200), (n) => Effect.fork(createRelay(`r${n}`)))
      for (let n = 0; n < 3; n++) yield* Effect.yieldNow()
      yield* Fiber.interruptAll(callers)
      const before = (yield* journalAfter()).length
      yield* createRelay("after")
      const events = yield* expectConsistent(yield* queue.takeAll)
      // An interruption completes only once the outcome of the command is known.
      expect(events.length).toBe(before + 1)
    })
  )

  test(
    "refused commands among accepted ones leave no gap and change nothing",
    Effect.gen(function*() {
      const queue = yield* subscribe
      yield* invoke("createTenant", [{ pubkey: alice }])
      const outcomes = yield* Effect.forEach(
        numbers(120),
        (n) =>
          Effect.either(
            n % 2 === 0
              ? createRelay(`r${n}`)
              : n % 3 === 0
              ? invoke("activateRelay", [{ id: "missing" }])
              : invoke("setTenantPastDue", [pubkey(n)])
          ),
        { concurrency: "unbounded" }
      )
      expect(outcomes.filter(({ _tag }) => _tag === "Right").length).toBe(60)
      const events = yield* expectConsistent(yield* queue.takeAll)
      expect(events.length).toBe(61)
    })
  )
}
