import { Command, Journal, Position, Query } from "@caravel/domain"
import { Consumer, ConsumerStore, Waiting } from "@caravel/pubsub"
import { Sqlite } from "@caravel/sql"
import { SqlClient } from "@effect/sql/SqlClient"
import { describe, expect, it } from "@effect/vitest"
import { Cause, Clock, type Context, Deferred, Effect, Fiber, Layer, Option, Queue, Schedule, type Scope } from "effect"
import { join } from "node:path"
import { createHandled, handled } from "../fixtures/handled.js"
import { raw, temporaryDirectory } from "../fixtures/sqlite.js"

const pubkey = "a".repeat(64)
const name = "c"
const from = "beginning"
const transactional = true
const retry = Schedule.recurs(2)

const test = <A, E>(
  title: string,
  body: Effect.Effect<A, E, Sqlite.Services | Scope.Scope>
) => it.scopedLive(title, () => Effect.provide(Effect.zipRight(begun, body), Sqlite.layerTemporary))

const begun = Effect.gen(function*() {
  const command = yield* Command
  const sql = yield* SqlClient
  yield* sql.unsafe(createHandled)
  yield* sql`CREATE TABLE pair (id INTEGER REFERENCES handled (id) DEFERRABLE INITIALLY DEFERRED)`
  yield* command.createTenant({ pubkey })
  for (const id of ["a", "b", "c"]) yield* command.createRelay({ id, tenant: pubkey, subdomain: id })
})

const log = (count: number) =>
  Effect.flatMap(
    Command,
    (command) =>
      Effect.forEach(Array.from({ length: count }), () => command.activateRelay({ id: "a" }), { concurrency: 64 })
  )

const all = Effect.map(
  Effect.flatMap(Query, (query) => query.activity()),
  (activities) => activities.map(({ position }) => position)
)

const caughtUp = Effect.flatMap(all, (positions) => Consumer.awaitPosition(name, positions.at(-1)!))

const rows = Effect.flatMap(
  SqlClient,
  (sql) => Effect.map(sql`SELECT position FROM handled ORDER BY id`, (rows) => rows.map(({ position }) => position))
)

/** A clock that stands still: all activities share one transaction, however slow the machine is. */
const still = Object.assign(Clock.make(), { unsafeCurrentTimeMillis: () => 0 })

describe("a transactional handler", () => {
  test(
    "that fails is rolled back alone, and the others in its batch run once",
    Effect.gen(function*() {
      const sql = yield* SqlClient
      yield* log(200)
      const calls = new Map<number, number>()
      yield* Effect.fork(Consumer.run({
        name,
        from,
        retry,
        transactional,
        onFailure: "park",
        handle: (activity) =>
          Effect.gen(function*() {
            calls.set(activity.position, (calls.get(activity.position) ?? 0) + 1)
            yield* handled(sql, activity)
            if (activity.position % 50 === 0) return yield* Effect.fail("no")
          })
      }))
      yield* caughtUp
      const positions = yield* all
      expect(yield* rows).toEqual(positions.filter((n) => n % 50 !== 0))
      // Only failing handlers are retried.
      expect(positions.map((n) => calls.get(n))).toEqual(positions.map((n) => n % 50 === 0 ? 3 : 1))
      yield* Consumer.replay({ name, handle: (activity) => handled(sql, activity), transactional })
      expect((yield* rows).length).toBe(positions.length)
      expect((yield* rows).slice(-4)).toEqual([50, 100, 150, 200])
    })
  )

  test(
    "whose writes only the commit refuses is parked, and the others in its batch are not",
    Effect.gen(function*() {
      const sql = yield* SqlClient
      yield* log(20)
      yield* Effect.fork(Consumer.run({
        name,
        from,
        retry: Schedule.stop,
        transactional,
        onFailure: "park",
        handle: (activity) =>
          Effect.gen(function*() {
            yield* handled(sql, activity)
            if (activity.position === 10) yield* sql`INSERT INTO pair (id) VALUES (-1)`
          })
      }))
      yield* caughtUp
      expect(yield* rows).toEqual((yield* all).filter((n) => n !== 10))
      const [parked] = yield* Consumer.parked(name)
      expect(parked).toMatchObject({ activity: { position: 10 }, attempts: 1 })
      expect(parked!.error).toContain("FOREIGN KEY constraint failed")
    })
  )

  test(
    "before one that fails is not blamed for a commit that others' writes make fail",
    Effect.gen(function*() {
      const sql = yield* SqlClient
      yield* log(4)
      const done = yield* Consumer.handleOnce({
        name,
        from,
        transactional,
        onFailure: "park",
        handle: (activity) =>
          Effect.gen(function*() {
            yield* handled(sql, activity)
            if (activity.position === 5) yield* sql`INSERT INTO pair (id) VALUES (-1)`
            if (activity.position === 6) return yield* Effect.fail("no")
          })
      }).pipe(Effect.provideService(Waiting.Waiting, still))
      expect(done).toEqual({ handled: 6, parked: 2, position: 8 })
      expect(yield* rows).toEqual([1, 2, 3, 4, 7, 8])
    })
  )

  test(
    "of batches writes exactly once, also if it fails, is interrupted, or only the commit refuses it",
    Effect.gen(function*() {
      const sql = yield* SqlClient
      yield* log(60)
      const sizes: Array<number> = []
      const reached = yield* Deferred.make<void>()
      const run = (stopsAt: number) =>
        Consumer.run({
          name,
          from,
          retry: Schedule.stop,
          transactional,
          stopTimeout: 0,
          onFailure: "park",
          batchSize: 16,
          handleBatch: (activities) =>
            Effect.gen(function*() {
              sizes.push(activities.length)
              for (const activity of activities) {
                yield* handled(sql, activity)
                if (activity.position === 10) return yield* Effect.fail("no")
                if (activity.position === 40) yield* sql`INSERT INTO pair (id) VALUES (-1)`
                if (activity.position === stopsAt) {
                  return yield* Effect.zipRight(Deferred.succeed(reached, undefined), Effect.never)
                }
              }
            })
        })
      const fiber = yield* Effect.fork(run(30))
      yield* Deferred.await(reached)
      yield* Fiber.interrupt(fiber)
      const { position } = yield* Consumer.lag(name)
      expect(yield* rows).toEqual((yield* all).filter((n) => n !== 10 && n <= position))
      yield* Effect.fork(run(Infinity))
      yield* caughtUp
      expect(yield* rows).toEqual((yield* all).filter((n) => n !== 10 && n !== 40))
      const parked = yield* Consumer.parked(name)
      expect(parked.map(({ activity, attempts }) => [activity.position, attempts])).toEqual([[10, 1], [40, 1]])
      expect(Math.max(...sizes)).toBe(16)
    })
  )

  test(
    "issues commands that commit with its checkpoint and are broadcast after that",
    Effect.gen(function*() {
      const command = yield* Command
      const sql = yield* SqlClient
      const queue = yield* command.notify.subscribe
      let fails = true
      const sizes: Array<number> = []
      yield* Effect.fork(Effect.provideService(
        Consumer.run({
          name,
          from,
          retry,
          transactional,
          filter: { activityType: "create_relay" },
          handle: ({ resourceId }) =>
            Effect.gen(function*() {
              yield* command.completeRelaySync(resourceId)
              yield* sql`INSERT INTO handled (position) VALUES (1)`
              sizes.push(yield* queue.size)
              if (fails) {
                fails = false
                return yield* Effect.fail("once")
              }
            })
        }),
        Waiting.Waiting,
        still
      ))
      const broadcast = [...yield* Queue.takeBetween(queue, 3, 9)]
      yield* Consumer.awaitPosition(name, 7)
      expect((yield* rows).length).toBe(3)
      expect(sizes).toEqual([0, 0, 0, 0])
      const relays = yield* (yield* Query).relays
      expect(relays.map(({ synced, version }) => [synced, version])).toEqual([[true, 2], [true, 2], [true, 2]])
      expect(broadcast.map(({ activityType }) => activityType)).toEqual(
        ["complete_relay_sync", "complete_relay_sync", "complete_relay_sync"]
      )
      expect(yield* (yield* Journal).head).toBe(Position.make(7))
    })
  )

  test(
    "that is interrupted is rolled back, and its transaction ends",
    Effect.gen(function*() {
      const command = yield* Command
      const sql = yield* SqlClient
      const reached = yield* Deferred.make<void>()
      const run = Consumer.run({
        name,
        from,
        transactional,
        stopTimeout: 0,
        handle: (activity) =>
          Effect.zipRight(
            handled(sql, activity),
            activity.position === 3 ? Effect.zipRight(Deferred.succeed(reached, undefined), Effect.never) : Effect.void
          )
      })
      const fiber = yield* Effect.fork(Effect.provideService(run, Waiting.Waiting, still))
      yield* Deferred.await(reached)
      yield* Fiber.interrupt(fiber)
      expect(yield* rows).toEqual([])
      expect(yield* Consumer.lag(name)).toMatchObject({ position: 0, owner: null })
      yield* command.activateRelay({ id: "a" })
    })
  )
})

describe("a consumer", () => {
  test(
    "that is started inside a transaction does not join it, and continues after it",
    Effect.gen(function*() {
      const sql = yield* SqlClient
      const scope = yield* Effect.scope
      yield* sql.withTransaction(Effect.gen(function*() {
        yield* Effect.forkIn(Consumer.run({ name, from, handle: (activity) => handled(sql, activity) }), scope)
        yield* handled(sql, { position: -1 as Position } as never)
        return yield* Effect.fail("undo")
      })).pipe(Effect.ignore)
      yield* caughtUp
      expect(yield* rows).toEqual(yield* all)
    })
  )

  it.scopedLive("waits while another process locks the database", () =>
    Effect.gen(function*() {
      const filename = join(yield* temporaryDirectory, "caravel.db")
      const context = yield* Layer.build(Sqlite.layer({ filename }))
      const other = yield* raw(filename)
      yield* Effect.gen(function*() {
        yield* begun
        const sql = yield* SqlClient
        let failed = ""
        other.exec("BEGIN IMMEDIATE")
        const fiber = yield* Effect.fork(
          Consumer.run({ name, from, transactional, handle: (activity) => handled(sql, activity) }).pipe(
            Effect.tapErrorCause((cause) => Effect.sync(() => failed = Cause.pretty(cause)))
          )
        )
        // Longer than a transaction waits for the lock.
        const error = yield* Effect.flip(Effect.flatMap(Command, (command) => command.activateRelay({ id: "a" })))
        expect(error).toMatchObject({ _tag: "StorageError", reason: "busy" })
        other.exec("COMMIT")
        yield* caughtUp
        expect(yield* rows).toEqual(yield* all)
        expect(failed).toBe("")
        yield* Fiber.interrupt(fiber)
      }).pipe(Effect.provide(context))
    }))

  it.scopedLive("releases its lease when its layer closes", () =>
    Effect.gen(function*() {
      const filename = join(yield* temporaryDirectory, "caravel.db")
      const fiber = yield* Effect.gen(function*() {
        yield* begun
        const fiber = yield* Effect.forkDaemon(Consumer.run({ name, from, handle: () => Effect.void }))
        yield* caughtUp
        return fiber
      }).pipe(Effect.provide(Sqlite.layer({ filename })))
      expect((yield* Fiber.await(fiber))._tag).toBe("Failure")
      const database = yield* raw(filename)
      expect(database.prepare("SELECT owner FROM caravel_lease WHERE task = 'run'").pluck().get()).toBe(null)
    }))

  it.scopedLive("on another connection to the file continues at the checkpoint, and can be awaited from this one", () =>
    Effect.gen(function*() {
      const filename = join(yield* temporaryDirectory, "caravel.db")
      const here = yield* Layer.build(Sqlite.layer({ filename }))
      const there = yield* Layer.build(Sqlite.layer({ filename }))
      yield* Effect.provide(begun, here)
      const seen: Array<readonly [string, number]> = []
      const run = (who: string, context: Context.Context<Sqlite.Services>) =>
        Effect.fork(Effect.provide(
          Consumer.run({ name, from, handle: ({ position }) => Effect.sync(() => seen.push([who, position])) }),
          context
        ))
      const first = yield* run("here", here)
      yield* Effect.provide(caughtUp, there)
      yield* run("there", there)
      yield* Effect.provide(log(3), there)
      yield* Effect.provide(caughtUp, there)
      yield* Fiber.interrupt(first)
      yield* Effect.provide(log(3), here)
      yield* Effect.provide(caughtUp, here)
      expect(seen).toEqual((yield* Effect.provide(all, here)).map((n) => [n <= 7 ? "here" : "there", n]))
    }))
})

describe("the store", () => {
  test(
    "says which operation has failed, in a transaction and outside",
    Effect.gen(function*() {
      const sql = yield* SqlClient
      const { checkpoints, leases, parking, transaction } = yield* ConsumerStore.ConsumerStore
      const [activity] = yield* Effect.flatMap(Query, (query) => query.activity())
      yield* checkpoints.register(name, Position.make(0), {})
      const found = Option.getOrThrow(yield* leases.holding(name, "run"))
      const lease = Option.getOrThrow(yield* leases.acquire(name, "run", found, "owner"))
      for (const table of ["parked", "lease", "consumer"]) yield* sql.unsafe(`DROP TABLE caravel_${table}`)

      const position = Position.make(1)
      const operations: { readonly [operation: string]: Effect.Effect<unknown, { readonly _tag: string }> } = {
        "Checkpoints.register": checkpoints.register(name, position, {}),
        "Checkpoints.find": checkpoints.find(name),
        "Checkpoints.list": checkpoints.list,
        "Checkpoints.move": checkpoints.move(lease, position, position),
        "Checkpoints.recordFailure": checkpoints.recordFailure(lease, position, 1, "no"),
        "Checkpoints.reset": checkpoints.reset(name, position),
        "Leases.holding": leases.holding(name, "run"),
        "Leases.acquire": leases.acquire(name, "run", found, "owner"),
        "Leases.renew": leases.renew(lease),
        "Leases.release": leases.release(lease),
        "Parking.park": parking.park(lease, []),
        "Parking.recordFailure": parking.recordFailure(lease, position, 1, "no"),
        "Parking.unpark": parking.unpark(lease, position),
        "Parking.list": parking.list(name, position, 1),
        "Parking.isParkedBefore": parking.isParkedBefore(name, activity!),
        "Parking.resources": parking.resources(name),
        "Parking.drop": parking.drop(name),
        "Parking.requestReplay": parking.requestReplay(name),
        "Parking.replays": parking.replays(name),
        "Parking.completeReplays": parking.completeReplays(lease, 1)
      }
      const methods = [checkpoints, leases, parking].flatMap((part) => Object.keys(part))
      // The backlog is counted in the activities, and `settled` waits for nothing.
      expect(Object.keys(operations).length).toBe(methods.length - 2)
      for (const [operation, failing] of Object.entries(operations)) {
        const error = yield* Effect.flip(Effect.asVoid(failing))
        expect([operation, error]).toMatchObject([operation, { _tag: "StorageError", reason: "corrupt", operation }])
        expect(yield* Effect.flip(transaction(Effect.asVoid(failing)))).toMatchObject({
          _tag: "StorageError",
          operation
        })
      }
      const deferred = transaction(Effect.orDie(sql`INSERT INTO pair (id) VALUES (-1)`))
      expect(yield* Effect.flip(deferred)).toMatchObject({ operation: "ConsumerStore.transaction" })
    })
  )
})
