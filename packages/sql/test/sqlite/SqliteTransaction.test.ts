import { Command, Query } from "@caravel/domain"
import { Consumer } from "@caravel/pubsub"
import { Sqlite } from "@caravel/sql"
import * as Reactivity from "@effect/experimental/Reactivity"
import { SqlClient } from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import { describe, expect, it, vi } from "@effect/vitest"
import SqliteDatabase from "better-sqlite3"
import { Context, Deferred, Effect, Exit, FastCheck as fc, Fiber, FiberId, Layer, Option } from "effect"
import * as SqliteConnection from "../../src/sqlite/SqliteConnection.js"
import { sqlite } from "../../src/sqlite/SqliteDialect.js"
import * as SqliteTransaction from "../../src/sqlite/SqliteTransaction.js"
import { run, select } from "../../src/statement/StatementScript.js"
import { turns } from "../fixtures/notes.js"
import { raw, temporaryFile } from "../fixtures/sqlite.js"

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

/** Stops the time in which callers are patient. Returns how to let it pass. */
const stoppedTime = Effect.map(
  Effect.acquireRelease(
    Effect.sync(() => vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] })),
    () => Effect.sync(() => vi.useRealTimers())
  ),
  (timers) => (seconds: number) =>
    Effect.zipRight(
      turns,
      Effect.zipRight(Effect.promise(() => timers.advanceTimersByTimeAsync(seconds * 1000)), turns)
    )
)

type Failure = Effect.Effect.Error<ReturnType<typeof Command.Service["createTenant"]>> | SqlError

/** Forks effects and waits until each waits for something. */
const waiting = (...effects: ReadonlyArray<Effect.Effect<unknown, Failure>>) =>
  Effect.zipLeft(Effect.forEach(effects, (effect) => Effect.fork(Effect.exit(effect))), turns)

const failureOf = (fiber: Fiber.Fiber<Exit.Exit<unknown, Failure>>) =>
  Effect.flatMap(Fiber.join(fiber), (exit) => Effect.flip(Effect.asVoid(exit)))

const isPending = (fiber: Fiber.RuntimeFiber<unknown>) => Effect.map(Fiber.poll(fiber), Option.isNone)

/** An open file, another program's connection to it, and a clock that the test moves. */
const besideAnother = Effect.gen(function*() {
  const filename = yield* temporaryFile
  const context = yield* Layer.build(Sqlite.layer({ filename }))
  return {
    command: Context.get(context, Command),
    sql: Context.get(context, SqlClient),
    other: yield* raw(filename),
    pass: yield* stoppedTime
  }
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

  it.scopedLive("that hang make others of the process wait for five seconds, and no longer", () =>
    Effect.gen(function*() {
      const command = yield* Command
      const sql = yield* SqlClient
      const pass = yield* stoppedTime
      const [hanging] = yield* waiting(sql.withTransaction(Effect.never))
      const create = command.createTenant({ pubkey })
      const others = yield* waiting(create, create, sql.withTransaction(Effect.void), sql`SELECT 1`)
      yield* pass(2)
      const [later, leaving] = yield* waiting(create, create)
      yield* pass(2.9)
      yield* Fiber.interrupt(leaving!)
      expect(yield* Effect.forEach(others, isPending)).toEqual([true, true, true, true])
      yield* pass(0.2)
      const busy = { _tag: "StorageError", reason: "busy" }
      const [first, second, ...plain] = yield* Effect.forEach(others, failureOf)
      expect([first, second]).toMatchObject([busy, busy])
      expect(String(first)).toContain(
        "another transaction of this process holds the database (end that transaction, or run this inside it)"
      )
      expect(plain.map(({ cause }) => sqlite.isTransient(cause))).toEqual([true, true])
      expect(yield* isPending(later!)).toBe(true)
      yield* pass(2)
      expect(yield* failureOf(later!)).toMatchObject(busy)
      // Those that gave up are not given the connection.
      yield* Fiber.interrupt(hanging!)
      expect(yield* create).toMatchObject({ position: 1 })
      expect(yield* sql`SELECT 1 AS one`).toEqual([{ one: 1 }])
    }).pipe(Effect.provide(Sqlite.layerTemporary)))

  it.scopedLive("that give up and are interrupted at once are not given the connection", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient
      const pass = yield* stoppedTime
      const holds = yield* Deferred.make<void>()
      const [holder, waits] = yield* waiting(
        sql.withTransaction(Deferred.await(holds)),
        sql.withTransaction(Effect.void)
      )
      const [interrupted] = yield* waiting(sql.withTransaction(Effect.never))
      // The timer has expired, and the fiber has not run since.
      yield* Effect.sync(() => vi.advanceTimersByTime(5_000))
      yield* Fiber.interruptAll([waits!, interrupted!])
      const [next] = yield* waiting(sql.withTransaction(Effect.succeed("next")))
      expect(yield* isPending(next!)).toBe(true)
      yield* Deferred.succeed(holds, undefined)
      yield* Fiber.join(holder!)
      expect(yield* Fiber.join(next!)).toEqual(Exit.succeed("next"))
      yield* pass(0)
    }).pipe(Effect.provide(Sqlite.layerTemporary)))

  it.scopedLive("are waited for as long as they end one after another", () =>
    Effect.gen(function*() {
      const command = yield* Command
      const sql = yield* SqlClient
      const pass = yield* stoppedTime
      const ends = yield* Effect.replicateEffect(Deferred.make<void>(), 5)
      const ahead = yield* waiting(...ends.map((end) => sql.withTransaction(Deferred.await(end))))
      const behind = yield* waiting(command.createTenant({ pubkey }), sql.withTransaction(sql`SELECT 1`), sql`SELECT 1`)
      for (const [index, end] of ends.entries()) {
        yield* pass(4)
        expect(yield* Effect.forEach(behind, isPending)).toEqual([true, true, true])
        yield* Deferred.succeed(end, undefined)
        yield* Fiber.join(ahead[index]!)
      }
      const exits = yield* Effect.forEach(behind, Fiber.join)
      expect(exits.map(Exit.isSuccess)).toEqual([true, true, true])
    }).pipe(Effect.provide(Sqlite.layerTemporary)))

  it.scopedLive("that have waited for others of the process still wait for another process", () =>
    Effect.gen(function*() {
      const { command, other, pass, sql } = yield* besideAnother
      const ends = yield* Effect.replicateEffect(Deferred.make<void>(), 2)
      const reserving = (end: Deferred.Deferred<void>) =>
        Effect.scoped(Effect.zipRight(sql.reserve, Deferred.await(end)))
      yield* waiting(...ends.map(reserving))
      const behind = yield* waiting(command.createTenant({ pubkey }), sql.withTransaction(sql`SELECT 1`))
      yield* pass(4)
      yield* Deferred.succeed(ends[0]!, undefined)
      yield* pass(4)
      other.exec("BEGIN IMMEDIATE")
      yield* Deferred.succeed(ends[1]!, undefined)
      yield* pass(1)
      expect(yield* Effect.forEach(behind, isPending)).toEqual([true, true])
      other.exec("ROLLBACK")
      yield* pass(1)
      const exits = yield* Effect.forEach(behind, Fiber.join)
      expect(exits.map(Exit.isSuccess)).toEqual([true, true])
    }))

  it.scopedLive("that another process keeps from beginning all fail after five seconds", () =>
    Effect.gen(function*() {
      const { command, other, pass, sql } = yield* besideAnother
      other.exec("BEGIN IMMEDIATE")
      const [first] = yield* waiting(command.createTenant({ pubkey }))
      yield* pass(0.5)
      const [second] = yield* waiting(sql.withTransaction(sql`SELECT 1`))
      yield* pass(0.5)
      const [third] = yield* waiting(sql.withTransaction(sql`SELECT 2`))
      const pending = Effect.forEach([first!, second!, third!], isPending)
      yield* pass(3.8)
      expect(yield* pending).toEqual([true, true, true])
      yield* pass(1.7)
      expect(yield* pending).toEqual([false, false, false])
      other.exec("ROLLBACK")
    }))

  it.scopedLive("of Caravel's own long operations are waited for as long as they run statements", () =>
    Effect.gen(function*() {
      const connection = yield* SqliteConnection.make(yield* temporaryFile)
      const { sql, transactLong } = yield* SqliteTransaction.make(connection)
      const pass = yield* stoppedTime
      const steps = yield* Effect.replicateEffect(Deferred.make<void>(), 3)
      const [long] = yield* waiting(transactLong(({ connection }) =>
        Effect.zipRight(
          Effect.forEach(steps, (step, index) =>
            Effect.zipRight(
              Deferred.await(step),
              index % 2 === 0
                ? connection.executeValues("SELECT 1", [])
                : run(connection, select([["SELECT 1", []]]))
            )),
          Effect.never
        )
      ))
      const [other] = yield* waiting(sql`SELECT 1`)
      for (const step of steps) {
        yield* pass(4)
        expect(yield* isPending(other!)).toBe(true)
        yield* Deferred.succeed(step, undefined)
        yield* turns
      }
      yield* pass(4)
      expect(yield* isPending(other!)).toBe(true)
      yield* pass(1.1)
      expect(yield* isPending(other!)).toBe(false)
      yield* Fiber.interrupt(long!)
    }).pipe(Effect.provide(Reactivity.layer)))
})
