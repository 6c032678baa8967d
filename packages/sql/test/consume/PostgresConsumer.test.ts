/** Consumers on PostgreSQL: their locks, and connections that the server ends. */
import { Command, Position } from "@caravel/domain"
import { Consumer, ConsumerStore } from "@caravel/pubsub"
import { Postgres } from "@caravel/sql"
import { SqlClient } from "@effect/sql/SqlClient"
import { expect, it } from "@effect/vitest"
import { Context, Deferred, Effect, Fiber, Layer, Logger, LogLevel, Option, Redacted, Schedule } from "effect"
import { inSchema, raw, temporarySchema, withPostgres } from "../fixtures/postgres.js"

const pubkey = "a".repeat(64)
const name = "c"
const from = "beginning"

withPostgres("PostgreSQL: consumers", (url) => {
  const world = (settings = "") =>
    Effect.gen(function*() {
      const schema = yield* temporarySchema(url)
      const context = yield* Layer.build(Postgres.layer({ url: Redacted.make(inSchema(url, schema, settings)) }))
      yield* Context.get(context, Command).createTenant({ pubkey })
      for (const id of ["a", "b", "c", "d"]) {
        yield* Context.get(context, Command).createRelay({ id, tenant: pubkey, subdomain: id })
      }
      return { context, schema }
    })

  it.scopedLive(
    "starting, running and reset consumers take locks in one order and never deadlock",
    () =>
      Effect.gen(function*() {
        const { context } = yield* world()
        const store = Context.get(context, ConsumerStore.ConsumerStore)
        const register = (n: number) =>
          store.checkpoints.register(name, Position.make(0), { resourceId: `r${n % 3}` as never })
        yield* register(0)
        const seen = Option.getOrThrow(yield* store.leases.holding(name, "run"))
        const lease = Option.getOrThrow(yield* store.leases.acquire(name, "run", seen, "owner"))
        const rounds = Array.from({ length: 150 }, (_, n) => n)
        const moving = Effect.forEach(
          rounds,
          (n) => store.checkpoints.move(lease, Position.make(n % 2), Position.make((n + 1) % 2))
        )
        const starting = Effect.forEach(rounds, register)
        yield* Effect.all([moving, starting, starting, starting], { concurrency: "unbounded", discard: true })
        const resetting = Effect.forEach(rounds, () => store.checkpoints.reset(name, Position.make(1)))
        yield* Effect.all([starting, resetting, starting], { concurrency: "unbounded", discard: true })
      }),
    60_000
  )

  it.scopedLive(
    "a handler that loses its connection fails and is parked, and its neighbours are handled once",
    () =>
      Effect.gen(function*() {
        const { context } = yield* world()
        const sql = Context.get(context, SqlClient)
        yield* sql`CREATE TABLE handled (position INTEGER NOT NULL)`
        const calls = new Map<number, number>()
        const loses = (position: number) => position === 3
        yield* Effect.fork(Effect.provide(
          Consumer.run({
            name,
            from,
            transactional: true,
            onFailure: "park",
            retry: Schedule.recurs(2),
            handle: ({ position }) =>
              Effect.gen(function*() {
                calls.set(position, (calls.get(position) ?? 0) + 1)
                yield* sql`INSERT INTO handled (position) VALUES (${position})`
                if (loses(position)) yield* Effect.ignore(sql`SELECT pg_terminate_backend(pg_backend_pid())`)
              })
          }),
          context
        ))
        yield* Effect.provide(Consumer.awaitPosition(name, 5), context)
        const rows = yield* sql`SELECT position FROM handled ORDER BY position`
        expect(rows.map(({ position }) => position)).toEqual([1, 2, 4, 5])
        expect(calls.get(3)).toBe(3)
        const parked = yield* Effect.provide(Consumer.parked(name), context)
        expect(parked.map(({ activity, attempts }) => [activity.position, attempts])).toEqual([[3, 3]])
        expect(parked[0]!.error).toMatch(/^StorageError: /)
        // The same in a replay.
        const replay = Consumer.replay({
          name,
          transactional: true,
          handle: () => Effect.ignore(sql`SELECT pg_terminate_backend(pg_backend_pid())`)
        })
        expect(yield* Effect.provide(replay, context)).toEqual({ replayed: 0, failed: 1 })
      }).pipe(Logger.withMinimumLogLevel(LogLevel.None)),
    60_000
  )

  it.scopedLive(
    "a replay also handles what the run's open transaction parks behind it",
    () =>
      Effect.gen(function*() {
        const { context, schema } = yield* world()
        const [begun, opened] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
        const run = Consumer.run({
          name,
          from,
          transactional: true,
          onFailure: "parkResource",
          retry: Schedule.stop,
          handle: ({ position }) =>
            position === 2
              ? Effect.fail("no")
              : position === 7
              ? Effect.zipRight(Deferred.succeed(begun, undefined), Deferred.await(opened))
              : Effect.void
        })
        yield* Effect.fork(Effect.provide(run, context))
        yield* Effect.provide(Consumer.awaitPosition(name, 5), context)
        const command = Context.get(context, Command)
        yield* command.submit(["a", "d"].map((id) => ({ _tag: "ActivateRelay" as const, id })))
        yield* Deferred.await(begun)
        const replaying = yield* Effect.fork(
          Effect.provide(Consumer.replay({ name, handle: () => Effect.void }), context)
        )
        const observer = yield* raw(url)
        const waits = Effect.promise(async () => {
          const { rows } = await observer.query(
            `SELECT 1 FROM pg_stat_activity
              WHERE application_name = $1 AND wait_event_type = 'Lock' AND query LIKE '%FOR SHARE%'`,
            [schema]
          )
          return rows.length > 0
        })
        const isDone = Effect.map(Fiber.poll(replaying), Option.isSome)
        yield* Effect.repeat(Effect.zipWith(waits, isDone, (waits, isDone) => waits || isDone), {
          until: (seen) => seen
        })
        yield* Deferred.succeed(opened, undefined)
        yield* Effect.provide(Consumer.awaitPosition(name, 7), context)
        expect(yield* Fiber.join(replaying)).toEqual({ replayed: 2, failed: 0 })
        expect(yield* Effect.provide(Consumer.parked(name), context)).toEqual([])
      }),
    60_000
  )

  it.scopedLive(
    "a replay writes nothing for an activity that is dropped while its handler runs",
    () =>
      Effect.gen(function*() {
        const { context } = yield* world()
        const sql = Context.get(context, SqlClient)
        yield* sql`CREATE TABLE handled (position INTEGER NOT NULL)`
        const parking = Consumer.handleOnce({ name, from, onFailure: "park", handle: () => Effect.fail("no") })
        yield* Effect.provide(parking, context)
        const [begun, opened] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
        const replay = Consumer.replay({
          name,
          transactional: true,
          handle: ({ position }) =>
            sql`INSERT INTO handled (position) VALUES (${position})`.pipe(
              Effect.zipRight(Deferred.succeed(begun, undefined)),
              Effect.zipRight(Deferred.await(opened))
            )
        })
        const replaying = yield* Effect.fork(Effect.provide(replay, context))
        yield* Deferred.await(begun)
        expect(yield* Effect.provide(Consumer.drop(name), context)).toBe(5)
        yield* Deferred.succeed(opened, undefined)
        expect(yield* Fiber.join(replaying)).toEqual({ replayed: 0, failed: 0 })
        expect(yield* sql`SELECT position FROM handled`).toEqual([])
      }),
    60_000
  )

  it.scopedLive(
    "a consumer outlives a role's statement_timeout while another transaction holds its tables",
    () =>
      Effect.gen(function*() {
        const { context, schema } = yield* world("-c statement_timeout=200")
        const running = yield* Effect.fork(
          Effect.provide(Consumer.run({ name, from, handle: () => Effect.void, leaseDuration: "300 millis" }), context)
        )
        yield* Effect.provide(Consumer.awaitPosition(name, 5), context)
        const admin = yield* raw(url)
        const tables = `${schema}.caravel_consumer, ${schema}.caravel_lease`
        yield* Effect.promise(() => admin.query(`BEGIN; LOCK TABLE ${tables}`))
        // Waits until several of the consumer's statements have waited for the lock and were cancelled.
        const observer = yield* raw(url)
        const waited = new Set<string>()
        const look = Effect.promise(async () => {
          const { rows } = await observer.query(
            `SELECT query_start::text FROM pg_stat_activity WHERE application_name = $1 AND wait_event_type = 'Lock'`,
            [schema]
          )
          for (const { query_start } of rows) waited.add(query_start)
        })
        yield* Effect.repeat(look, { until: () => waited.size > 4 })
        yield* Effect.promise(() => admin.query("COMMIT"))
        const { position } = yield* Context.get(context, Command).activateRelay({ id: "a" })
        yield* Effect.provide(Consumer.awaitPosition(name, position), context)
        expect(Option.isNone(yield* Fiber.poll(running))).toBe(true)
      }).pipe(Logger.withMinimumLogLevel(LogLevel.None)),
    60_000
  )
})
