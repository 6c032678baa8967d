import { Command, Journal, Position, Query } from "@caravel/domain"
import { nextTurn } from "@caravel/domain/adapter"
import { Sqlite } from "@caravel/sql"
import { describe, expect, it } from "@effect/vitest"
import { Context, Duration, Effect, Exit, Fiber, Layer, Option, Queue, Scheduler, Scope } from "effect"
import { join } from "node:path"
import { inspect } from "node:util"
import { held } from "../fixtures/held.js"
import { raw, temporaryDirectory } from "../fixtures/sqlite.js"

const pubkey = "a".repeat(64)
const relay = (id: string) => ({ id, tenant: pubkey, subdomain: id })
const ids = (count: number) => Array.from({ length: count }, (_, index) => `r${index}`)

/** Two turns of the event loop. In the second at the latest, the writer takes the waiting submissions. */
const turn = Effect.repeatN(nextTurn, 1)

describe("the writer", () => {
  it.scopedLive("commits waiting commands together, in far fewer commits than commands", () =>
    Effect.gen(function*() {
      const filename = join(yield* temporaryDirectory, "caravel.db")
      const onlooker = yield* raw(filename)
      yield* Effect.gen(function*() {
        const command = yield* Command
        yield* command.createTenant({ pubkey })
        const version = () => onlooker.pragma("data_version", { simple: true }) as number
        version()
        const before = version()
        const fibers = yield* held(Effect.forEach(ids(500), (id) => Effect.fork(command.createRelay(relay(id)))))
        yield* Fiber.joinAll(fibers)
        expect(version() - before).toBeLessThan(10)
      }).pipe(Effect.provide(Sqlite.layer({ filename })))
    }))

  it.scopedLive("lets any number of callers wait, and commits all their commands in order", () =>
    Effect.gen(function*() {
      const command = yield* Command
      const journal = yield* Journal
      yield* command.createTenant({ pubkey })
      const fibers = yield* held(Effect.forEach(ids(5000), (id) => Effect.fork(command.createRelay(relay(id)))))
      yield* Fiber.joinAll(fibers)
      const events = yield* journal.read(Position.make(1), 6000)
      expect(events.map(({ resourceId }) => resourceId)).toEqual(ids(5000))
    }).pipe(Effect.provide(Sqlite.layerTemporary)))

  it.scopedLive("never decides a command whose caller was interrupted while it waited", () =>
    Effect.gen(function*() {
      const command = yield* Command
      const query = yield* Query
      yield* command.createTenant({ pubkey })
      const queue = yield* command.notify.subscribe
      const rest = yield* held(Effect.gen(function*() {
        // One batch is taken and waits for the connection. The other commands wait to be taken.
        const fibers = yield* Effect.forEach(ids(3000), (id) => Effect.fork(command.createRelay(relay(id))))
        yield* turn
        const late = fibers.filter((_, index) => index % 2 === 0)
        for (const exit of yield* Fiber.interruptAll(late).pipe(Effect.zipRight(Effect.forEach(late, Fiber.await)))) {
          expect(Exit.isInterrupted(exit)).toBe(true)
        }
        return fibers.filter((fiber) => !late.includes(fiber))
      }))
      yield* Fiber.joinAll(rest)
      const expected = ids(3000).filter((_, index) => index % 2 === 1)
      expect((yield* query.relays).map(({ id }) => id)).toEqual([...expected].sort())
      expect(yield* Queue.size(queue)).toBe(expected.length)
    }).pipe(Effect.provide(Sqlite.layerTemporary)))

  it.scopedLive("leaves no caller waiting when its layer closes", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(Sqlite.layerTemporary, scope)
      const command = Context.get(context, Command)
      yield* command.createTenant({ pubkey })
      const fibers = yield* Effect.forEach(ids(2000), (id) => Effect.fork(command.createRelay(relay(id))))
      yield* Effect.yieldNow()
      yield* Scope.close(scope, Exit.void)
      const exits = yield* Effect.forEach(fibers, Fiber.await)
      expect(exits.every((exit) => Exit.isSuccess(exit) || Exit.isInterrupted(exit))).toBe(true)
    }))

  it.scopedLive(
    "waits for another connection's transaction without blocking others, then fails as busy",
    () =>
      Effect.gen(function*() {
        const filename = join(yield* temporaryDirectory, "caravel.db")
        yield* Effect.gen(function*() {
          const command = yield* Command
          const query = yield* Query
          yield* command.createTenant({ pubkey })
          const other = yield* raw(filename)
          other.exec("BEGIN IMMEDIATE")
          const waiting = yield* Effect.fork(Effect.flip(command.createRelay(relay("a"))))
          // The event loop is free, so reads are answered while the command waits.
          let reads = 0
          while (Option.isNone(yield* Fiber.poll(waiting))) {
            yield* query.tenants
            yield* turn
            reads++
          }
          expect(reads).toBeGreaterThan(100)
          expect(yield* Fiber.join(waiting)).toMatchObject({ _tag: "StorageError", reason: "busy" })
          other.exec("ROLLBACK")
          expect((yield* command.createRelay(relay("a"))).position).toBe(2)
        }).pipe(Effect.provide(Sqlite.layer({ filename })))
      }),
    30_000
  )

  it.scopedLive(
    "waits for another connection's transaction for five seconds, however many commands wait before it",
    () =>
      Effect.gen(function*() {
        const filename = join(yield* temporaryDirectory, "caravel.db")
        yield* Effect.gen(function*() {
          const command = yield* Command
          yield* command.createTenant({ pubkey })
          const other = yield* raw(filename)
          other.exec("BEGIN IMMEDIATE")
          // More than one batch.
          const errors = yield* Effect.forEach(
            Array.from({ length: 600 }, (_, n) => relay(`r${n}`)),
            (relay) => Effect.timed(Effect.flip(command.createRelay(relay))),
            { concurrency: "unbounded" }
          )
          for (const [, error] of errors) expect(error).toMatchObject({ _tag: "StorageError", reason: "busy" })
          expect(Math.max(...errors.map(([duration]) => Duration.toSeconds(duration)))).toBeLessThan(8)
          other.exec("ROLLBACK")
          expect((yield* command.createRelay(relay("a"))).position).toBe(2)
        }).pipe(Effect.provide(Sqlite.layer({ filename })))
      }),
    40_000
  )

  it.scopedLive("keeps secrets out of the journal, and deletes those that are replaced or cleared", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const filename = join(directory, "caravel.db")
      const database = yield* raw(filename)
      const secrets = () => database.prepare("SELECT value FROM caravel_secret ORDER BY id").pluck().all()
      yield* Effect.gen(function*() {
        const command = yield* Command
        yield* command.createTenant({ pubkey, nwcUrl: "nostr+walletconnect://first" })
        expect(secrets()).toEqual(["nostr+walletconnect://first"])
        yield* command.updateTenant({ pubkey, nwcUrl: "nostr+walletconnect://second" })
        expect(secrets()).toEqual(["nostr+walletconnect://second"])
        expect(JSON.stringify(database.prepare("SELECT * FROM caravel_event, caravel_tenant").all())).not.toContain(
          "walletconnect"
        )
        yield* command.updateTenant({ pubkey, nwcUrl: null })
        expect(secrets()).toEqual([])
      }).pipe(Effect.provide(Sqlite.layer({ filename })))
    }))

  it.scopedLive("answers commands that it has committed even if notifying a subscriber throws", () =>
    Effect.gen(function*() {
      const command = yield* Command
      const queue = yield* command.notify.subscribe
      let isBroken = false
      const scheduler = Scheduler.make((task, priority) => {
        if (isBroken) throw new Error("broken")
        Scheduler.defaultScheduler.scheduleTask(task, priority)
      }, () => false)
      yield* Effect.forkDaemon(Effect.withScheduler(Queue.take(queue), scheduler))
      yield* Effect.yieldNow()
      isBroken = true
      const answers = yield* Effect.all([
        command.createTenant({ pubkey }),
        command.createRelay(relay("a")),
        command.deactivateRelay({ id: "a" })
      ], { concurrency: "unbounded" })
      expect(answers.map(({ position }) => position)).toEqual([1, 2, 3])
      expect((yield* command.activateRelay({ id: "a" })).position).toBe(4)
    }).pipe(Effect.provide(Sqlite.layerTemporary)))

  it.scopedLive("reports a damaged row without revealing its secret", () =>
    Effect.gen(function*() {
      const filename = join(yield* temporaryDirectory, "caravel.db")
      const database = yield* raw(filename)
      yield* Effect.gen(function*() {
        const command = yield* Command
        const query = yield* Query
        yield* command.createTenant({ pubkey, nwcUrl: "nostr+walletconnect://secret" })
        database.exec("UPDATE caravel_tenant SET created_at = 9000000000000000000")
        const error = yield* Effect.flip(query.tenant(pubkey))
        expect(error).toMatchObject({ _tag: "StorageError", reason: "corrupt", operation: "Query.tenant" })
        expect(inspect(error, { depth: Infinity, showHidden: true })).not.toContain("walletconnect")
      }).pipe(Effect.provide(Sqlite.layer({ filename })))
    }))
})
