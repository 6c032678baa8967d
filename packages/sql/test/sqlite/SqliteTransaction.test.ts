import { Command, Query } from "@caravel/domain"
import { Consumer } from "@caravel/pubsub"
import { Sqlite } from "@caravel/sql"
import { SqlClient } from "@effect/sql/SqlClient"
import { describe, expect, it } from "@effect/vitest"
import SqliteDatabase from "better-sqlite3"
import { Context, Effect, FastCheck as fc, Fiber, FiberId, Layer } from "effect"

const pubkey = "a".repeat(64)

/** Which waiting transactions are interrupted: while they wait, or just when it is their turn. */
const leaving = fc.array(fc.constantFrom("stays", "leaves", "leaves when it is his turn"), {
  minLength: 1,
  maxLength: 8
})

/** Makes the next COMMITs fail as if the log could not be synced. Returns how many still fail. */
const failingSyncs = (count: number) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const { prepare } = SqliteDatabase.prototype
      const left = { count }
      SqliteDatabase.prototype.prepare = function(this: SqliteDatabase.Database, text: string) {
        const statement = prepare.call(this, text)
        if (text !== "COMMIT") return statement
        const { run } = statement
        return Object.assign(statement, {
          run: (...params: Array<unknown>) => {
            if (left.count === 0) return Reflect.apply(run, statement, params)
            left.count--
            throw new SqliteDatabase.SqliteError("disk I/O error", "SQLITE_IOERR_FSYNC")
          }
        })
      } as typeof prepare
      return { left, undo: () => Object.assign(SqliteDatabase.prototype, { prepare }) }
    }),
    ({ undo }) => Effect.sync(undo)
  ).pipe(Effect.map(({ left }) => left))

/** Runs this number of steps of the fiber, which yields after 2048. */
const steps = (count: number) =>
  Effect.suspend(() => {
    let done = 0
    return Effect.whileLoop({ while: () => done++ < count, body: () => Effect.void, step: () => {} })
  })

describe("transactions on an SQLite file", () => {
  for (const name of ["transaction", "statement"] as const) {
    it.scopedLive(`pass the lock on if a ${name} is interrupted at any step`, () =>
      Effect.gen(function*() {
        const sql = yield* SqlClient
        for (let before = 1990; before < 2050; before++) {
          const leaving = yield* Effect.fork(
            Effect.zipRight(steps(before), name === "statement" ? sql`SELECT 1` : sql.withTransaction(Effect.void))
          )
          yield* Effect.yieldNow()
          yield* Fiber.interruptAsFork(leaving, FiberId.none)
          yield* Fiber.await(leaving)
          yield* sql.withTransaction(Effect.void).pipe(Effect.timeoutFail({
            duration: "5 seconds",
            onTimeout: () => `nobody passes it on after ${before} steps`
          }))
        }
      }).pipe(Effect.provide(Sqlite.layerTemporary)), 60_000)
  }

  it.scopedLive("have an unknown outcome if their COMMIT cannot be synced: after a crash they may be in the log", () =>
    Effect.gen(function*() {
      const syncs = yield* failingSyncs(0)
      const context = yield* Layer.build(Sqlite.layerTemporary)
      const command = Context.get(context, Command)
      const sql = Context.get(context, SqlClient)
      const create = command.createTenant({ pubkey })
      syncs.count = 1
      expect(yield* Effect.flip(create)).toMatchObject({ _tag: "StorageError", reason: "commitUnknown" })
      syncs.count = 1
      const error = yield* Effect.flip(sql.withTransaction(create))
      expect(error).toMatchObject({ cause: { _tag: "StorageError", reason: "commitUnknown" } })
      expect(yield* create).toMatchObject({ position: 1 })
    }))

  it.scopedLive("of several commands have one unknown outcome, and no command is tried again on its own", () =>
    Effect.gen(function*() {
      const syncs = yield* failingSyncs(0)
      yield* Effect.gen(function*() {
        const command = yield* Command
        yield* command.createTenant({ pubkey })
        const create = (id: string) => Effect.either(command.createRelay({ id, tenant: pubkey, subdomain: id }))
        syncs.count = 1
        // The first one waits for a turn of the event loop, so that the others join its batch.
        const outcomes = yield* Effect.forEach(["a", "b", "c"], create, { concurrency: "unbounded" })
        const unknown = { _tag: "Left", left: { _tag: "StorageError", reason: "commitUnknown" } }
        expect(outcomes).toMatchObject([unknown, unknown, unknown])
        expect(yield* Effect.flatMap(Query, ({ relays }) => relays)).toEqual([])
      }).pipe(Effect.provide(Sqlite.layerTemporary))
    }))

  it.scopedLive("of a consumer are repeated until their COMMITs are synced", () =>
    Effect.gen(function*() {
      const syncs = yield* failingSyncs(0)
      const context = yield* Layer.build(Sqlite.layerTemporary)
      yield* Effect.gen(function*() {
        const sql = yield* SqlClient
        let handled = 0
        yield* sql`CREATE TABLE handled (position INTEGER NOT NULL)`
        const { position } = yield* (yield* Command).createTenant({ pubkey })
        const fiber = yield* Effect.fork(Consumer.run({
          name: "consumer",
          from: "beginning",
          transactional: true,
          handle: ({ position }) =>
            Effect.suspend(() => {
              if (handled++ === 0) syncs.count = 7
              return sql`INSERT INTO handled (position) VALUES (${position})`
            })
        }))
        yield* Effect.raceFirst(Consumer.awaitPosition("consumer", position), Fiber.join(fiber))
        expect(yield* sql`SELECT position FROM handled`).toEqual([{ position }])
        expect(syncs.count).toBe(0)
      }).pipe(Effect.provide(context))
    }), 20_000)

  it.scopedLive("run in the order of their requests, even if some are interrupted", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient
      const runtime = yield* Effect.runtime<never>()
      yield* Effect.promise(() =>
        fc.assert(
          fc.asyncProperty(leaving, (ways) =>
            Effect.gen(function*() {
              const gate = yield* Effect.makeLatch()
              const order: Array<number> = []
              const first = yield* Effect.fork(sql.withTransaction(gate.await))
              yield* Effect.yieldNow()
              const fibers = yield* Effect.forEach(ways, (_, n) =>
                Effect.zipLeft(
                  Effect.fork(sql.withTransaction(Effect.zipRight(sql`SELECT 1`, Effect.sync(() => order.push(n))))),
                  Effect.yieldNow()
                ))
              const leave = (way: string) =>
                Effect.forEach(fibers, (fiber, n) => ways[n] === way ? Fiber.interruptFork(fiber) : Effect.void)
              yield* leave("leaves")
              yield* gate.open
              yield* Effect.zipRight(Effect.yieldNow(), leave("leaves when it is his turn"))
              yield* Fiber.join(first)
              yield* Effect.forEach(fibers, (fiber) => Fiber.await(fiber))
              const stayed = ways.flatMap((way, n) => way === "stays" ? [n] : [])
              expect(order).toEqual([...order].sort((a, b) => a - b))
              expect(order).toEqual(expect.arrayContaining(stayed))
              // The lock is free.
              yield* sql.withTransaction(Effect.void)
            }).pipe(Effect.timeout("10 seconds"), Effect.provide(runtime), Effect.runPromise)),
          { numRuns: 200 }
        )
      )
    }).pipe(Effect.provide(Sqlite.layerTemporary)), 60_000)
})
