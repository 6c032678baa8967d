import { Command, Journal } from "@caravel/domain"
import { Consumer } from "@caravel/pubsub"
import { Backup, Copy } from "@caravel/sql"
import { SqlClient } from "@effect/sql/SqlClient"
import { describe, expect, it } from "@effect/vitest"
import { Context, Deferred, Effect, Fiber, Layer, Logger, LogLevel, Queue, Random, Redacted, type Scope } from "effect"
import { existsSync } from "node:fs"
import { bundled, spawned } from "../fixtures/child.js"
import {
  activitiesOf,
  alice,
  consumed,
  dump,
  type Endpoint,
  file,
  headOf,
  history,
  many,
  open,
  resent,
  schemaOf,
  using
} from "../fixtures/copying.js"
import { key } from "../fixtures/encrypted.js"
import { verify } from "../fixtures/filled.js"
import { withPostgres } from "../fixtures/postgres.js"
import { raw } from "../fixtures/sqlite.js"

const refused = (from: Endpoint, to: Endpoint) => Effect.flip(Copy.copy({ from, to }))

const cannotOpen = (endpoint: Endpoint) => Effect.flip(Effect.scoped(Effect.asVoid(Layer.build(open(endpoint)))))

const nameOf = (endpoint: Endpoint) => "filename" in endpoint ? endpoint.filename : ""

const suite = (empty: Effect.Effect<Endpoint, never, Scope.Scope>) => {
  const test = <E>(name: string, body: Effect.Effect<void, E, Scope.Scope>) => it.scopedLive(name, () => body, 60_000)

  test(
    "handlers' errors are copied, whatever their characters",
    Effect.gen(function*() {
      const [from, to] = [yield* file, yield* empty]
      yield* history(from)
      const database = yield* raw(nameOf(from))
      database.exec(
        "UPDATE caravel_consumer SET last_error = 'upstream said ' || char(0) || '!' WHERE name = 'billing'"
      )
      database.exec("UPDATE caravel_parked SET error = 'and ' || char(0)")
      yield* Copy.copy({ from, to })
      expect(yield* using(to, Consumer.lag("billing"))).toMatchObject({ lastError: "upstream said \ufffd!" })
      expect(JSON.stringify(yield* dump(to))).toContain("and \ufffd")
    })
  )

  test(
    "a damaged sequence of the target is refused with a typed error",
    Effect.gen(function*() {
      const [from, to] = [yield* file, yield* empty]
      yield* history(from)
      if (!("filename" in to)) return
      yield* Effect.scoped(Layer.build(open(to)))
      const database = yield* raw(to.filename)
      database.exec("INSERT INTO sqlite_sequence VALUES ('caravel_event', 'x')")
      expect(yield* refused(from, to)).toMatchObject({ _tag: "StorageError", reason: "corrupt" })
    })
  )

  test(
    "a copy and its copy back are the same in every table",
    Effect.gen(function*() {
      const [from, to, back] = [yield* file, yield* empty, yield* file]
      yield* history(from)
      const head = yield* headOf(from)
      const steps = new Set<string>()
      const copied = yield* Copy.copy({ from, to, onStep: (step) => steps.add(step) })
      expect(copied).toMatchObject({ position: head, copied: head, tenants: 3, relays: 2 })
      expect([...steps]).toEqual(["copying", "projecting", "verifying"])
      const before = yield* dump(from)
      for (const rows of Object.values(before)) expect(rows).not.toEqual([])
      expect(yield* dump(to)).toEqual(before)
      yield* Copy.copy({ from: to, to: back })
      expect(yield* dump(back)).toEqual(before)
      expect(yield* Copy.copy({ from: to, to: back })).toMatchObject({ position: head, copied: 0 })
      expect(yield* dump(back)).toEqual(before)
      expect((yield* using(back, verify, key)).differences).toEqual([])
      for (const endpoint of [to, back]) {
        expect(yield* using(endpoint, Consumer.lag("billing"))).toMatchObject({ position: head, owner: null })
      }
    })
  )

  test(
    "commands, keys and consumers continue on the copy at the source's next position",
    Effect.gen(function*() {
      const [from, to] = [yield* file, yield* empty]
      yield* history(from)
      const { position: end } = yield* Copy.copy({ from, to })
      // Inspecting the copy leaves a consumer and its lease in it, which the next copy deletes.
      yield* using(to, consumed("trial", end))
      yield* using(
        from,
        Effect.gen(function*() {
          yield* many(3, "n")
          yield* Consumer.drop("billing")
        }),
        key
      )
      expect(yield* Copy.copy({ from, to })).toMatchObject({ copied: 3, relays: 5 })
      expect(yield* dump(to)).toEqual(yield* dump(from))

      const head = yield* headOf(from)
      const epoch = yield* using(from, Effect.flatMap(Journal, ({ epoch }) => epoch))
      yield* using(
        to,
        Effect.gen(function*() {
          expect(yield* (yield* Journal).epoch).toBe(epoch)
          const first = yield* resent
          expect(first.position).toBeLessThan(head)
          const { position } = yield* (yield* Command).deactivateRelay({ id: "a" })
          expect(position).toBe(head + 1)
          expect(yield* consumed("billing", position)).toEqual([head - 2, head - 1, head, head + 1])
          expect((yield* verify).differences).toEqual([])
        }),
        key
      )
      const error = yield* refused(from, to)
      expect(error).toMatchObject({ _tag: "NotACopy", reason: "ahead", position: head + 1 })
      yield* using(from, many(1, "other"), key)
      expect(yield* refused(from, to)).toMatchObject({ _tag: "NotACopy", reason: "event", position: head + 1 })
      expect(yield* headOf(to)).toBe(head + 1)
    })
  )

  test(
    "only an empty target or a copy of the same journal is written to",
    Effect.gen(function*() {
      const [from, to] = [yield* file, yield* empty]
      yield* history(from)
      yield* using(to, Effect.flatMap(Command, (command) => command.createTenant({ pubkey: alice })))
      const before = yield* dump(to)
      expect(yield* refused(from, to)).toMatchObject({ _tag: "NotACopy", reason: "epoch", position: 1 })
      expect(yield* refused(to, to)).toMatchObject({ _tag: "NotACopy", reason: "same" })
      expect(yield* dump(to)).toEqual(before)

      const missing = yield* file
      expect((yield* refused(missing, to)).message).toContain("there is no file")
      expect(existsSync(nameOf(missing))).toBe(false)
    })
  )

  test(
    "events that are written meanwhile are left to the next copy",
    Effect.gen(function*() {
      const [from, to] = [yield* file, yield* empty]
      const context = yield* Layer.build(open(from))
      const command = Context.get(context, Command)
      yield* command.createTenant({ pubkey: alice })
      yield* Effect.provide(many(2000, "r"), context)
      const { head } = Context.get(context, Journal)
      const before = yield* head
      const steps = yield* Queue.unbounded<string>()
      const writing = yield* Effect.fork(
        Effect.forever(Effect.zipRight(Queue.take(steps), command.failRelaySync({ id: "r1" }, "x")))
      )
      const { position } = yield* Copy.copy({ from, to, onStep: (step) => void steps.unsafeOffer(step) })
      yield* Fiber.interrupt(writing)
      const after = yield* head
      expect(position).toBeGreaterThanOrEqual(before)
      expect(after).toBeGreaterThan(position)
      expect(yield* headOf(to)).toBe(position)
      expect(yield* Copy.copy({ from, to })).toMatchObject({ position: after, copied: after - position })
      expect(yield* using(to, activitiesOf)).toEqual(yield* Effect.provide(activitiesOf, context))
    })
  )

  test(
    "an incomplete copy cannot be opened until it is completed, and an unsound journal is not copied",
    Effect.gen(function*() {
      const [from, to] = [yield* file, yield* empty]
      yield* history(from)
      yield* using(from, Effect.flatMap(SqlClient, (sql) => sql`DELETE FROM caravel_relay WHERE id = 'b'`), key)
      expect((yield* refused(from, to)).message).toContain("(caravel verify says what differs")
      expect((yield* cannotOpen(to)).message).toContain("unfinished copy")
      expect((yield* refused(to, yield* file)).message).toContain("unfinished copy")
      yield* using(from, Effect.flatMap(Journal, (journal) => journal.rebuild()), key)
      expect(yield* Copy.copy({ from, to })).toMatchObject({ copied: 0, relays: 2 })
      expect(yield* dump(to)).toEqual(yield* dump(from))
    })
  )

  test(
    "a program that has the target open is refused",
    Effect.gen(function*() {
      const [from, to] = [yield* file, yield* empty]
      yield* history(from)
      yield* using(from, many(3000, "m"), key)
      const command = Context.get(yield* Layer.build(open(to)), Command)
      const begun = yield* Deferred.make<void>()
      const sending = yield* Effect.fork(
        Effect.zipRight(Deferred.await(begun), Effect.flip(command.createTenant({ pubkey: "d".repeat(64) })))
      )
      yield* Copy.copy({ from, to, onStep: () => Deferred.unsafeDone(begun, Effect.void) })
      expect(yield* Fiber.join(sending)).toMatchObject({ _tag: "StorageError", reason: "replaced" })
      expect(yield* dump(to)).toEqual(yield* dump(from))
      // The open program's failing reads of the target would be logged.
    }).pipe(Logger.withMinimumLogLevel(LogLevel.None))
  )

  test(
    "a copy that is killed at random and restarted until it completes equals an uninterrupted one",
    Effect.gen(function*() {
      const [from, to] = [yield* file, yield* empty]
      yield* history(from)
      yield* using(from, many(2000, "m"), key)
      const script = yield* bundled("./copy.ts")
      const target = JSON.stringify("url" in to ? { ...to, url: Redacted.value(to.url) } : to)
      let rounds = 0
      for (let through = false; !through; rounds++) {
        const child = yield* spawned(script, [nameOf(from), target])
        yield* child.writes(yield* Random.nextIntBetween(3, 8 + 12 * rounds))
        yield* child.kill("SIGKILL")
        yield* child.ended
        expect(child.errors).toBe("")
        through = child.process.exitCode === 0
        if (!through && rounds === 0) expect((yield* cannotOpen(to)).message).toContain("unfinished copy")
      }
      expect(rounds).toBeGreaterThan(1)
      expect(yield* dump(to)).toEqual(yield* dump(from))
    })
  )
}

describe("a copy from SQLite to SQLite", () => {
  suite(file)

  it.scopedLive("of a database that was restored since is refused if the copy has later events", () =>
    Effect.gen(function*() {
      const [from, to, backup] = [yield* file, yield* file, yield* file]
      yield* history(from)
      yield* Backup.backup({ from: nameOf(from), to: nameOf(backup) })
      yield* Copy.copy({ from, to })
      yield* using(from, many(1, "lost"), key)
      yield* Backup.restore({ from: nameOf(backup), to: nameOf(from), overwrite: true })
      // The copied events happened in both timelines.
      expect(yield* Copy.copy({ from, to })).toMatchObject({ copied: 0 })
      expect(yield* dump(to)).toEqual(yield* dump(from))
      yield* Backup.restore({ from: nameOf(backup), to: nameOf(from), overwrite: true })
      expect(yield* refused(from, to)).toMatchObject({ _tag: "NotACopy", reason: "epoch" })
    }))
})

withPostgres("a copy from SQLite to PostgreSQL", (url) => suite(schemaOf(url)))
