/** A command that waits for the database can be interrupted, whatever it waits for. */
import { Command, Journal, Position, Query, type StorageError } from "@caravel/domain"
import { Postgres, Sqlite } from "@caravel/sql"
import { SqlClient } from "@effect/sql/SqlClient"
import { describe, expect, it, vi } from "@effect/vitest"
import Database from "better-sqlite3"
import { Context, Deferred, Effect, Exit, Fiber, Layer, Option, Queue, Redacted, Runtime, Scope } from "effect"
import { join } from "node:path"
import { pubkey, turns } from "../fixtures/notes.js"
import { inSchema, layerTemporary, raw as rawPostgres, temporarySchema, withPostgres } from "../fixtures/postgres.js"
import { raw, temporaryDirectory } from "../fixtures/sqlite.js"

const relay = (id: string) => ({ id, tenant: pubkey, subdomain: id })

/** Runs an effect while another fiber's transaction has written and is still open. */
const held = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const sql = yield* SqlClient
    const command = yield* Command
    const open = yield* Deferred.make<void>()
    const done = yield* Deferred.make<void>()
    const holder = yield* Effect.fork(sql.withTransaction(Effect.all([
      command.setTenantPastDue(pubkey),
      Deferred.succeed(open, undefined),
      Deferred.await(done)
    ])))
    yield* Deferred.await(open)
    const result = yield* effect
    yield* Deferred.succeed(done, undefined)
    yield* Fiber.join(holder)
    return result
  })

/**
 * Interrupts every second of some waiting commands, and expects the interruptions to complete while the others wait.
 */
const leaving = (count: number) =>
  Effect.gen(function*() {
    const command = yield* Command
    const fibers: Array<Fiber.RuntimeFiber<unknown, unknown>> = []
    for (let n = 0; n < count; n++) {
      fibers.push(yield* Effect.fork(command.createRelay(relay(`r${n}`))))
      // The first command leads the group commit, and later ones arrive while it waits.
      if (n % 3 === 0) yield* turns
    }
    yield* turns
    for (const [n, fiber] of fibers.entries()) {
      expect(Option.isNone(yield* Fiber.poll(fiber))).toBe(true)
      if (n % 2 === 0) expect(Exit.isInterrupted(yield* Fiber.interrupt(fiber))).toBe(true)
    }
    return fibers.filter((_, n) => n % 2 === 1)
  })

const staying = (count: number) => Array.from({ length: count }, (_, n) => `r${n}`).filter((_, n) => n % 2 === 1).sort()

const relays = Effect.gen(function*() {
  const events = yield* (yield* Journal).read(Position.make(0), 100)
  const relays = (yield* (yield* Query).relays).map(({ id }) => id).sort()
  const created = events.filter(({ resourceType }) => resourceType === "relay").map(({ resourceId }) => resourceId)
  expect([...created].sort()).toEqual(relays)
  return relays
})

const waiting = (layer: Layer.Layer<Postgres.Services, StorageError>) => {
  for (const count of [1, 2, 3, 20]) {
    it.scopedLive(`of ${count} commands that wait for another fiber's transaction, interrupted ones end at once`, () =>
      Effect.gen(function*() {
        const command = yield* Command
        yield* command.createTenant({ pubkey })
        const queue = yield* command.notify.subscribe
        // @effect-diagnostics-next-line anyUnknownInErrorContext:off
        yield* Fiber.joinAll(yield* held(leaving(count)))
        expect(yield* relays).toEqual(staying(count))
        expect((yield* command.createRelay(relay("last"))).resourceId).toBe("last")
        const told = [...yield* Queue.takeAll(queue)].map(({ resourceId }) => resourceId)
        expect(told.sort()).toEqual(["last", ...staying(count)])
      }).pipe(Effect.provide(layer)))
  }

  it.scopedLive("a transaction can interrupt a command that waits for it, and continues", () =>
    Effect.gen(function*() {
      const command = yield* Command
      const sql = yield* SqlClient
      yield* command.createTenant({ pubkey })
      const run = Runtime.runFork(yield* Effect.runtime<never>())
      yield* sql.withTransaction(Effect.gen(function*() {
        yield* command.createRelay(relay("a"))
        const fiber = run(command.createRelay(relay("waits")))
        yield* turns
        expect(Exit.isInterrupted(yield* Fiber.interrupt(fiber))).toBe(true)
      }))
      expect(yield* relays).toEqual(["a"])
    }).pipe(Effect.provide(layer)))

  it.scopedLive("commands that wait when the layer closes are interrupted, and closing waits for nothing else", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(layer, scope)
      const command = Context.get(context, Command)
      yield* command.createTenant({ pubkey })
      const fibers = yield* held(Effect.gen(function*() {
        const fibers = yield* Effect.forEach(["a", "b", "c"], (id) => Effect.fork(command.createRelay(relay(id))))
        yield* turns
        yield* Fiber.interrupt(fibers[0]!)
        yield* turns
        return fibers
      })).pipe(Effect.provide(context))
      yield* Scope.close(scope, Exit.void)
      for (const fiber of fibers) expect((yield* Fiber.await(fiber))._tag).toBeDefined()
    }))
}

describe("SQLite", () => {
  waiting(Sqlite.layerTemporary)

  it.scopedLive("interrupted commands that wait for another process end at once", () =>
    Effect.gen(function*() {
      const filename = join(yield* temporaryDirectory, "caravel.db")
      yield* Effect.gen(function*() {
        yield* (yield* Command).createTenant({ pubkey })
        const other = yield* raw(filename)
        other.exec("BEGIN IMMEDIATE")
        const fibers = yield* leaving(5)
        other.exec("ROLLBACK")
        // @effect-diagnostics-next-line anyUnknownInErrorContext:off
        yield* Fiber.joinAll(fibers)
        expect(yield* relays).toEqual(staying(5))
      }).pipe(Effect.provide(Sqlite.layer({ filename })))
    }))

  it.scopedLive("commands whose COMMIT is busy are answered if their leader is interrupted, and if the layer closes", () =>
    Effect.gen(function*() {
      for (const isClosed of [true, false]) {
        const scope = yield* Scope.make()
        const context = yield* Layer.buildWithScope(Sqlite.layerTemporary, scope)
        const command = Context.get(context, Command)
        yield* command.createTenant({ pubkey })
        const commits = yield* busyCommits
        const fibers = yield* Effect.forEach(["a", "b", "c"], (id) => Effect.fork(command.createRelay(relay(id))))
        yield* commits.tried
        yield* Fiber.interrupt(fibers[0]!)
        // The writer leads now.
        yield* commits.tried
        if (isClosed) yield* Scope.close(scope, Exit.void)
        vi.restoreAllMocks()
        const exits = yield* Effect.forEach(fibers, Fiber.await)
        expect(exits.map(Exit.isInterrupted)).toEqual([true, isClosed, isClosed])
        yield* Scope.close(scope, Exit.void)
      }
    }))
})

/** Makes COMMIT fail as if another process held the lock. `tried` waits until it is tried again. */
const busyCommits = Effect.sync(() => {
  const database = new Database(":memory:")
  const statement = Object.getPrototypeOf(database.prepare("SELECT 1")) as Database.Statement
  database.close()
  const { run } = statement
  let count = 0
  vi.spyOn(statement, "run").mockImplementation(function(this: Database.Statement, ...parameters) {
    if (this.source !== "COMMIT") return run.apply(this, parameters)
    count++
    throw new Database.SqliteError("database is locked", "SQLITE_BUSY")
  })
  const after = (before: number): Effect.Effect<void> =>
    Effect.suspend(() => count > before ? Effect.void : Effect.zipRight(turns, after(before)))
  return { tried: Effect.suspend(() => after(count)) }
})

withPostgres("PostgreSQL", (url) => {
  waiting(layerTemporary(url))

  it.scopedLive("interrupted commands that wait for another process end at once", () =>
    Effect.gen(function*() {
      const schema = yield* temporarySchema(url)
      yield* Effect.gen(function*() {
        yield* (yield* Command).createTenant({ pubkey })
        const other = yield* rawPostgres(inSchema(url, schema))
        yield* Effect.promise(() =>
          other.query("BEGIN; SELECT pg_advisory_xact_lock('caravel_event'::regclass::oid::int, 0)")
        )
        const fibers = yield* leaving(5)
        yield* Effect.promise(() => other.query("ROLLBACK"))
        // @effect-diagnostics-next-line anyUnknownInErrorContext:off
        yield* Fiber.joinAll(fibers)
        expect(yield* relays).toEqual(staying(5))
      }).pipe(Effect.provide(Postgres.layer({ url: Redacted.make(url), schema })))
    }))
})
