import { ActivityFeed, Command } from "@caravel/domain"
import { Postgres } from "@caravel/sql"
import { expect, it } from "@effect/vitest"
import { Context, Effect, Fiber, Layer, Metric, MetricKey, Queue, Redacted, Stream } from "effect"
import { inSchema, raw, temporarySchema, withPostgres } from "../fixtures/postgres.js"

const pubkey = "a".repeat(64)

const woken = (source: string) =>
  Effect.map(
    Metric.value(Metric.fromMetricKey(
      MetricKey.counter("caravel_tail_wakeups_total", {
        description: "times that the tail was woken by other processes' commits, by what woke it",
        incremental: true
      }).pipe(MetricKey.tagged("source", source))
    )),
    ({ count }) => Number(count)
  )

/** How often the tail was woken without a notification. It is counted after the activity has arrived. */
const wokenOtherwise = Effect.zipWith(woken("listen"), woken("poll"), (listen, poll) => listen + poll)

const world = (url: string, wakeUps: { readonly [who in "here" | "there"]: "listen" | "poll" }) =>
  Effect.gen(function*() {
    const schema = yield* temporarySchema(url)
    const own = inSchema(url, schema)
    const open = (wakeUps: "listen" | "poll") =>
      Layer.build(Layer.fresh(Postgres.layer({ url: Redacted.make(own), wakeUps })))
    const here = yield* open(wakeUps.here)
    const there = yield* open(wakeUps.there)
    const admin = yield* raw(url)
    /** The process ids of listening connections. */
    const listening = Effect.promise(async () => {
      const { rows } = await admin.query(
        "SELECT pid FROM pg_stat_activity WHERE application_name = $1 AND (query LIKE 'LISTEN%' OR query = 'SELECT 1')",
        [schema]
      )
      return rows.map(({ pid }) => Number(pid))
    })
    return {
      here,
      command: Context.get(there, Command),
      /** Runs commands in a program that ends right after them. */
      once: <A, E>(use: (command: typeof Command.Service) => Effect.Effect<A, E>) =>
        Effect.scoped(Effect.flatMap(open("listen"), (context) => use(Context.get(context, Command)))),
      queue: yield* Context.get(here, Command).notify.subscribe,
      listening,
      end: (pid: number) => Effect.promise(() => admin.query("SELECT pg_terminate_backend($1)", [pid]))
    }
  })

withPostgres("PostgreSQL: a commit of another process", (url) => {
  it.scopedLive("arrives by notification, in live, since and notify", () =>
    Effect.gen(function*() {
      const { command, here, queue } = yield* world(url, { here: "listen", there: "listen" })
      const feed = Context.get(here, ActivityFeed)
      const live = yield* Effect.fork(Stream.runCollect(Stream.take(feed.live, 3)))
      const since = yield* Effect.fork(Stream.runCollect(Stream.take(feed.since(0), 3)))
      yield* Effect.yieldNow()
      const before = yield* woken("notification")
      yield* command.createTenant({ pubkey })
      yield* command.createRelay({ id: "a", tenant: pubkey, subdomain: "a" })
      yield* Queue.take(queue)
      yield* Context.get(here, Command).deactivateRelay({ id: "a" })
      expect(Array.from(yield* Fiber.join(live), ({ position }) => position)).toEqual([1, 2, 3])
      expect(Array.from(yield* Fiber.join(since), ({ position }) => position)).toEqual([1, 2, 3])
      yield* Effect.repeat(woken("notification"), { until: (count) => count > before })
    }))

  it.scopedLive("arrives by notification from a process that ends right after it", () =>
    Effect.gen(function*() {
      const { listening, once, queue } = yield* world(url, { here: "listen", there: "poll" })
      yield* Effect.repeat(listening, { until: ({ length }) => length > 0 })
      const before = yield* woken("notification")
      yield* once((command) => command.createTenant({ pubkey }))
      expect((yield* Queue.take(queue)).position).toBe(1)
      yield* Effect.repeat(woken("notification"), { until: (count) => count === before + 1 })
    }))

  it.scopedLive("arrives without a notification", () =>
    Effect.gen(function*() {
      const { command, queue } = yield* world(url, { here: "listen", there: "poll" })
      const before = yield* wokenOtherwise
      yield* command.createTenant({ pubkey })
      expect((yield* Queue.take(queue)).position).toBe(1)
      yield* Effect.repeat(wokenOtherwise, { until: (count) => count === before + 1 })
    }))

  it.scopedLive("arrives without a listening connection", () =>
    Effect.gen(function*() {
      const { command, listening, queue } = yield* world(url, { here: "poll", there: "listen" })
      const there = yield* Effect.repeat(listening, { until: ({ length }) => length > 0 })
      expect(there.length).toBe(1)
      yield* command.createTenant({ pubkey })
      expect((yield* Queue.take(queue)).position).toBe(1)
    }))

  it.scopedLive("arrives after the listening connection was lost, and a new one is opened", () =>
    Effect.gen(function*() {
      const { command, end, listening, queue } = yield* world(url, { here: "listen", there: "poll" })
      const [first] = yield* Effect.repeat(listening, { until: ({ length }) => length > 0 })
      const before = yield* wokenOtherwise
      yield* end(first!)
      yield* command.createTenant({ pubkey })
      expect((yield* Queue.take(queue)).position).toBe(1)
      yield* Effect.repeat(wokenOtherwise, { until: (count) => count === before + 1 })
      const again = yield* Effect.repeat(listening, { until: (pids) => pids.some((pid) => pid !== first) })
      expect(again).not.toContain(first)
    }))
})
