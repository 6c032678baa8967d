import {
  type Activity,
  ActivityFeed,
  activityOf,
  ActivityPubSub,
  Epoch,
  EventId,
  Journal,
  Position,
  Pubkey,
  Query,
  type RecordedEvent,
  RelayId,
  Version
} from "@caravel/domain"
import { InProcess, Tail } from "@caravel/pubsub"
import { Array as Arr, Chunk, DateTime, Effect, Fiber, Layer, PubSub, Queue, type Scope, Stream } from "effect"
import { randomUUID } from "node:crypto"
import { performance } from "node:perf_hooks"
import type { Case } from "../Case.js"
import { pubkey, relayId } from "../Input.js"
import type { Scenario } from "../Scenario.js"

/** The number of events that are broadcast together: as many as in a commit of 64 callers. */
const batchSize = 64

type Events = ReadonlyArray<RecordedEvent>

/** A way to broadcast. Returns the milliseconds until all subscribers have the activities of the events. */
type Broadcast = (
  events: Events,
  subscribers: number
) => Effect.Effect<number, never, Scope.Scope>

/** A subscriber: takes everything available until it has `count` activities. */
const reader = (queue: Queue.Dequeue<Activity>, count: number) =>
  Effect.suspend(() => {
    let had = 0
    return Effect.whileLoop({
      while: () => had < count,
      body: () => Queue.takeBetween(queue, 1, Number.MAX_SAFE_INTEGER),
      step: (taken) => {
        had += Chunk.size(taken)
      }
    })
  })

/**
 * Runs subscribers, then the publisher, until all are done. The publisher yields after each batch, as the write path
 * does.
 */
const broadcast = <E>(
  events: Events,
  readers: ReadonlyArray<Effect.Effect<void, E>>,
  publish: (batch: Events) => Effect.Effect<unknown>
) =>
  Effect.gen(function*() {
    const batches = Arr.makeBy(
      Math.ceil(events.length / batchSize),
      (index) => events.slice(index * batchSize, (index + 1) * batchSize)
    )
    const fibers = yield* Effect.forEach(readers, (reader) => Effect.forkScoped(reader))
    // A stream subscribes only when it runs.
    yield* Effect.sleep("2 millis")
    const started = performance.now()
    yield* Effect.forEach(batches, (batch) => Effect.zipRight(publish(batch), Effect.yieldNow()), { discard: true })
    yield* Fiber.joinAll(fibers)
    return performance.now() - started
  })

const activitiesOf = (events: Events) => events.flatMap((event) => activityOf(event) ?? [])

const publishTo = (pubsub: PubSub.PubSub<Activity>) => (batch: Events) => PubSub.publishAll(pubsub, activitiesOf(batch))

const byPubSub = (make: Effect.Effect<PubSub.PubSub<Activity>>): Broadcast => (events, subscribers) =>
  Effect.gen(function*() {
    const pubsub = yield* make
    const queues = yield* Effect.replicateEffect(PubSub.subscribe(pubsub), subscribers)
    return yield* broadcast(events, queues.map((queue) => reader(queue, events.length)), publishTo(pubsub))
  })

/** The tail over a journal in memory, so that only broadcasting is measured, not reading or writing. */
const byTail = (by: "queue" | "feed"): Broadcast => (events, subscribers) =>
  Effect.gen(function*() {
    const context = yield* Layer.build(Layer.provide(InProcess.layer, journalOf(activitiesOf(events))))
    return yield* Effect.gen(function*() {
      const tail = yield* Tail.Tail
      const pubsub = yield* ActivityPubSub
      const feed = yield* ActivityFeed
      const count = events.length
      const queues = yield* Effect.replicateEffect(pubsub.subscribe, by === "queue" ? subscribers : 0)
      const streams = Arr.makeBy(
        by === "feed" ? subscribers : 0,
        () => Stream.runDrain(Stream.take(feed.live, count))
      )
      return yield* broadcast(events, [...queues.map((queue) => reader(queue, count)), ...streams], tail.broadcast)
    }).pipe(Effect.provide(context))
  }).pipe(Effect.orDie)

const journalOf = (activities: ReadonlyArray<Activity>) =>
  Layer.mergeAll(
    Layer.mock(Journal, { epoch: Effect.succeed(Epoch.make(randomUUID())), head: Effect.succeed(Position.make(0)) }),
    Layer.succeed(
      Query,
      Query.make({
        activity: ({ after, limit = activities.length, upTo = activities.length }) =>
          Effect.succeed(activities.slice(after, Math.min(upTo, after + limit))),
        relay: () => Effect.succeedNone,
        relayBySubdomain: () => Effect.succeedNone,
        findRelays: () => Effect.succeed([]),
        tenant: () => Effect.succeedNone,
        findTenants: () => Effect.succeed([])
      })
    )
  )

const ways: { readonly [subject: string]: Broadcast } = {
  "pubsub-bounded": byPubSub(PubSub.bounded(1024)),
  "pubsub-unbounded": byPubSub(PubSub.unbounded()),
  "pubsub-stream": (events, subscribers) =>
    Effect.flatMap(PubSub.unbounded<Activity>(), (pubsub) =>
      broadcast(
        events,
        Arr.makeBy(subscribers, () => Stream.runDrain(Stream.take(Stream.fromPubSub(pubsub), events.length))),
        publishTo(pubsub)
      )),
  caravel: byTail("queue"),
  "caravel-feed": byTail("feed")
}

/** How many deliveries to subscribers are possible per second. */
export const scenario: Scenario = {
  title: "Broadcast",
  description:
    "Deliveries per second to subscribers that take everything available. A publisher broadcasts the activities of " +
    "64 events at a time, and yields after each batch. Caravel's tail receives the events as after a commit; " +
    "Effect's PubSub receives their activities through publishAll, bounded to 1,024 or unbounded. Compare the feed, " +
    "which is a stream, with Stream.fromPubSub.",
  figures: { "deliveries/s": 0 },
  comparisons: [
    { title: "× bounded", figure: "deliveries/s", to: (value) => ({ ...value, subject: "pubsub-bounded" }) },
    { title: "× unbounded", figure: "deliveries/s", to: (value) => ({ ...value, subject: "pubsub-unbounded" }) },
    { title: "× stream", figure: "deliveries/s", to: (value) => ({ ...value, subject: "pubsub-stream" }) }
  ],
  warmUp: true,
  cases: () => [1, 100].flatMap((subscribers) => Object.keys(ways).map((subject): Case => ({ subject, subscribers }))),
  measure: ({ subject, subscribers = 1 }, { settings }) =>
    Effect.gen(function*() {
      const way = ways[subject]
      if (way === undefined) return yield* Effect.dieMessage(`no way to broadcast is called ${subject}`)
      const events = firstEvents(Math.ceil(settings.some / Math.max(1, subscribers / 10)))
      let millis = 0
      let deliveries = 0
      while (millis < settings.millis) {
        millis += yield* Effect.scoped(way(events, subscribers))
        deliveries += events.length * subscribers
      }
      return { "deliveries/s": deliveries / millis * 1000 }
    })
}

const made: Array<RecordedEvent> = []

/** The first `count` of the events, which are created once and broadcast repeatedly. */
const firstEvents = (count: number) => {
  while (made.length < count) {
    made.push({
      _tag: "RelayDeactivated",
      position: Position.make(made.length + 1),
      id: EventId.make(randomUUID()),
      tenant: Pubkey.make(pubkey(0)),
      resourceType: "relay",
      resourceId: RelayId.make(relayId(0)),
      version: Version.make(made.length + 1),
      createdAt: DateTime.unsafeMake(0),
      metadata: {},
      changes: { status: "inactive" }
    })
  }
  return made.slice(0, count)
}
