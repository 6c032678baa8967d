import { LongRun } from "@caravel/conformance"
import { Command, Query } from "@caravel/domain"
import { Consumer } from "@caravel/pubsub"
import { Sqlite } from "@caravel/sql"
import { SqlClient } from "@effect/sql/SqlClient"
import { describe, expect, it } from "@effect/vitest"
import SqliteDatabase from "better-sqlite3"
import { Context, Effect, Fiber, Layer, Random } from "effect"
import { join } from "node:path"
import { bundled, type Child, spawned } from "../fixtures/child.js"
import { consumer, createHandled, handled } from "../fixtures/handled.js"
import { raw, temporaryDirectory } from "../fixtures/sqlite.js"

const rounds = LongRun.count("CARAVEL_KILLS", { usual: 12, long: 1000 })
const pubkey = "a".repeat(64)

/** A database that this process writes and other processes consume. */
const world = Effect.gen(function*() {
  const filename = join(yield* temporaryDirectory, "caravel.db")
  const context = yield* Layer.build(Sqlite.layer({ filename, synchronous: "normal" }))
  const command = Context.get(context, Command)
  const sql = Context.get(context, SqlClient)
  yield* sql.unsafe(createHandled)
  yield* command.createTenant({ pubkey })
  for (let n = 0; n < 5; n++) yield* command.createRelay({ id: `r${n}`, tenant: pubkey, subdomain: `r${n}` })
  const script = yield* bundled("./consume.ts")
  return {
    filename,
    caughtUp: Effect.gen(function*() {
      const activities = yield* Context.get(context, Query).activity()
      yield* Effect.provide(Consumer.awaitPosition(consumer.name, activities.at(-1)!.position), context)
    }),
    /** Writes a few activities, each in its own commit. */
    write: Effect.forEach([0, 1, 2, 3, 4], (n) => command.activateRelay({ id: `r${n}` }), { discard: true }),
    spawn: spawned(script, [filename]),
    /** Handles the remaining activities, and compares the handled ones with the log. */
    verify: Effect.gen(function*() {
      const fiber = yield* Effect.fork(Consumer.run({ ...consumer, handle: (activity) => handled(sql, activity) }))
      const positions = (yield* Context.get(context, Query).activity()).map(({ position }) => position)
      yield* Consumer.awaitPosition(consumer.name, positions.at(-1)!)
      const database = yield* raw(filename)
      expect(database.prepare("SELECT position FROM handled ORDER BY id").pluck().all()).toEqual(positions)
      yield* Fiber.interrupt(fiber)
    }).pipe(Effect.provide(context)),
    /** How often the lease was acquired. */
    fence: Effect.scoped(Effect.map(
      raw(filename),
      (database) => Number(database.prepare("SELECT max(fence) FROM caravel_lease WHERE task = 'run'").pluck().get())
    ))
  }
})

/** Whether a process has a write transaction open. */
const locked = (filename: string) =>
  Effect.sync(() => {
    const database = new SqliteDatabase(filename, { timeout: 0 })
    try {
      database.exec("BEGIN IMMEDIATE; ROLLBACK")
      return false
    } catch {
      return true
    } finally {
      database.close()
    }
  })

describe("a transactional consumer", () => {
  it.scopedLive(
    `that is killed ${rounds} times at random handles everything once, in order`,
    () =>
      Effect.gen(function*() {
        const { caughtUp, fence, spawn, verify, write } = yield* world
        let children: ReadonlyArray<Child> = [yield* spawn, yield* spawn]
        let errors = ""
        // Goes on if too few of those that were killed had the lease.
        for (let round = 0; round < rounds || (yield* fence) <= rounds / 4; round++) {
          yield* write
          // While it starts, while it waits for the lease, or before, within or after a transaction of any length.
          const [victim, other] = (yield* Random.nextBoolean) ? children : children.toReversed()
          const marks = yield* Random.nextIntBetween(0, 12)
          yield* Effect.raceAll([
            victim!.writes(victim!.written + marks),
            other!.writes(other!.written + marks),
            caughtUp
          ])
          yield* victim!.kill("SIGKILL")
          yield* victim!.ended
          errors += victim!.errors
          children = [other!, yield* spawn]
        }
        for (const child of children) yield* child.kill("SIGKILL")
        for (const child of children) yield* child.ended
        expect(errors).toBe("")
        yield* verify
        expect(yield* fence).toBeGreaterThan(rounds / 4)
      }),
    LongRun.timeout(600_000)
  )

  it.scopedLive(
    `that is suspended ${rounds / 4} times for longer than its lease handles everything once, in order`,
    () =>
      Effect.gen(function*() {
        const { filename, spawn, verify, write } = yield* world
        const children = [yield* spawn, yield* spawn]
        for (const child of children) yield* child.writes(1)
        for (let takenOver = 0; takenOver < rounds / 4;) {
          const before = children.map(({ written }) => written)
          const marks = yield* Random.nextIntBetween(1, 10)
          yield* write
          yield* Effect.raceAll(children.map((child, n) => child.writes(before[n]! + marks)))
          const [owner, other] = children[0]!.written > before[0]! ? children : children.toReversed()
          yield* owner!.kill("SIGSTOP")
          // A process that is suspended in a transaction blocks all other writers, which is not what is tested here.
          if (!(yield* locked(filename))) {
            const seen = other!.written
            yield* write
            yield* other!.writes(seen + 1)
            takenOver++
          }
          yield* owner!.kill("SIGCONT")
        }
        yield* write
        for (const child of children) {
          yield* child.kill("SIGKILL")
          yield* child.ended
          expect(child.errors).toBe("")
        }
        yield* verify
      }),
    LongRun.timeout(600_000)
  )
})
