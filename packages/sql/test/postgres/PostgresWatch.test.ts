import { ActivityFeed, Command } from "@caravel/domain"
import { Postgres } from "@caravel/sql"
import { expect, it } from "@effect/vitest"
import { Context, Effect, Fiber, Layer, Metric, MetricKey, Option, Queue, Redacted, Stream, Tracer } from "effect"
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
      own,
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

  it.scopedLive("is loaded by a command of this process, and not read again after it", () =>
    Effect.gen(function*() {
      const spans: Array<Tracer.Span> = []
      const native = yield* Effect.tracer
      const tracer = Tracer.make({
        span: (...parameters) => {
          const span = native.span(...parameters)
          spans.push(span)
          return span
        },
        context: (run) => run()
      })
      const own = inSchema(url, yield* temporarySchema(url))
      const postgres = Layer.fresh(Postgres.layer({ url: Redacted.make(own), wakeUps: "poll" }))
      const here = yield* Layer.build(Layer.provideMerge(postgres, Layer.setTracer(tracer)))
      const there = Context.get(yield* Layer.build(postgres), Command)
      const queue = yield* Context.get(here, Command).notify.subscribe
      yield* there.createTenant({ pubkey })
      for (let n = 0; n < 10; n++) {
        // The first has no activity.
        yield* there.setTenantPastDue(pubkey)
        yield* there.updateTenant({ pubkey })
        yield* Context.get(here, Command).updateTenant({ pubkey })
      }
      const positions = Array.from(yield* queue.takeBetween(21, 21), ({ position }) => position)
      expect(positions).toEqual([1, ...Array.from({ length: 10 }, (_, n) => [3 * n + 3, 3 * n + 4]).flat()])
      const reads = spans.filter(({ name, parent }) =>
        name === "sql.ActivityLog.read" && Option.exists(parent, (parent) => "name" in parent)
      )
      expect(reads).toEqual([])
    }))

  it.scopedLive("arrives while a command of this process waits", () =>
    Effect.gen(function*() {
      const { command, here, own, queue } = yield* world(url, { here: "listen", there: "poll" })
      yield* command.createTenant({ pubkey })
      yield* Queue.take(queue)
      const admin = yield* raw(own)
      const query = (text: string) => Effect.map(Effect.promise(() => admin.query(text)), ({ rows }) => rows)
      const lock = "('caravel_event'::regclass::oid::int, 0)"
      yield* query(`SELECT pg_advisory_lock${lock}`)
      const waiting = yield* Effect.fork(Context.get(here, Command).updateTenant({ pubkey }))
      const waiters = query("SELECT 1 FROM pg_locks WHERE NOT granted AND classid = 'caravel_event'::regclass")
      yield* Effect.repeat(waiters, { until: ({ length }) => length > 0 })
      const before = yield* woken("notification")
      // The poll may read one of them first.
      let position = 1
      while ((yield* woken("notification")) === before) {
        position++
        yield* query(
          `INSERT INTO caravel_event SELECT ${position}, gen_random_uuid(), 'TenantUpdated', 'update_tenant', tenant,
          resource_type, resource_id, ${position + 1}, '{}', '{}', created_at, 1 FROM caravel_event WHERE position = 1`
        )
        yield* query(`SELECT pg_notify('caravel_' || 'caravel_event'::regclass::oid, '${position}')`)
        expect((yield* Queue.take(queue)).position).toBe(position)
      }
      expect(yield* Fiber.poll(waiting)).toEqual(Option.none())
      yield* query(`SELECT pg_advisory_unlock${lock}`)
      expect((yield* Fiber.join(waiting)).position).toBe(position + 1)
    }))
})
