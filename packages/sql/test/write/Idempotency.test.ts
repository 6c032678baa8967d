import { LongRun } from "@caravel/conformance"
import { Command, Journal, Position, type StorageError } from "@caravel/domain"
import { nextTurn } from "@caravel/domain/adapter"
import { Sqlite } from "@caravel/sql"
import { SqlClient } from "@effect/sql/SqlClient"
import { describe, expect, it } from "@effect/vitest"
import { Clock, Context, Duration, Effect, Exit, Fiber, Layer, Queue, Random } from "effect"
import { createHash } from "node:crypto"
import { join } from "node:path"
import { bundled, type Child, spawned } from "../fixtures/child.js"
import { held } from "../fixtures/held.js"
import { layerTemporary, withPostgres } from "../fixtures/postgres.js"
import { accepted, tenant } from "../fixtures/sendings.js"
import { raw, temporaryDirectory } from "../fixtures/sqlite.js"

const relay = (id: string) => ({ id, tenant, subdomain: id })
const keyed = Command.withIdempotencyKey

/** Two turns of the event loop. In the second at the latest, the writer takes the waiting submissions. */
const turn = Effect.repeatN(nextTurn, 1)

const temporary = Effect.map(temporaryDirectory, (directory) => join(directory, "caravel.db"))

const open = (filename: string, options: Omit<Sqlite.Options, "filename"> = {}) =>
  Effect.map(Layer.build(Sqlite.layer({ filename, ...options })), Context.get(Command))

const count = Effect.flatMap(Journal, (journal) => journal.head)

/** Runs an effect at this hour of the clock. */
const atHour = (hour: number) =>
  Effect.withClock(Object.assign(Clock.make(), { currentTimeMillis: Effect.succeed(hour * 3_600_000) }))

/** Whether a command can be repeated with its key, for ever; with another option it counts as new. */
const keptFor = (make: (options: Partial<Sqlite.Options>) => Layer.Layer<Command | Journal, StorageError>) =>
  Effect.forEach([Duration.infinity, Duration.micros(1500n)], (idempotencyKeysKept) =>
    Effect.gen(function*() {
      const command = yield* Command
      yield* command.createTenant({ pubkey: tenant })
      const sent = keyed("key")(command.setTenantPastDue(tenant))
      for (const hour of [1, 1, 2]) yield* atHour(hour)(sent)
      expect(yield* count).toBe(idempotencyKeysKept === Duration.infinity ? 2 : 3)
    }).pipe(Effect.provide(Layer.fresh(Layer.orDie(make({ idempotencyKeysKept }))))), { discard: true })

describe("an idempotency key", () => {
  it.scopedLive("is known after a restart, and to other connections", () =>
    Effect.gen(function*() {
      const filename = yield* temporary
      const create = (command: typeof Command.Service) => keyed("key")(command.createTenant({ pubkey: tenant }))
      const first = yield* Effect.scoped(Effect.flatMap(open(filename), create))
      const one = yield* open(filename)
      const two = yield* open(filename)
      for (const command of [one, two, one]) expect(yield* create(command)).toEqual(first)
      const activate = (command: typeof Command.Service) => keyed("other")(command.setTenantPastDue(tenant))
      yield* Effect.all([activate(one), activate(two), activate(one)], { concurrency: "unbounded" })
      const database = yield* raw(filename)
      expect(database.prepare("SELECT count(*) FROM caravel_event").pluck().get()).toBe(2)
    }))

  it.scopedLive("returns an answer only once this process has broadcast it too", () =>
    Effect.gen(function*() {
      const filename = yield* temporary
      const [one, two] = [yield* open(filename), yield* open(filename)]
      const queue = yield* two.notify.subscribe
      const create = (command: typeof Command.Service) => keyed("key")(command.createTenant({ pubkey: tenant }))
      const first = yield* create(one)
      expect(yield* create(two)).toEqual(first)
      expect([...yield* Queue.takeAll(queue)]).toEqual([first])
    }))

  it.scopedLive("is part of the caller's transaction, and is undone with it", () =>
    Effect.gen(function*() {
      const command = yield* Command
      const sql = yield* SqlClient
      yield* command.createTenant({ pubkey: tenant })
      const queue = yield* command.notify.subscribe
      const create = keyed("key")(command.createRelay(relay("a")))
      const rolledBack = yield* Effect.exit(sql.withTransaction(Effect.zipRight(create, Effect.fail("undo"))))
      expect(rolledBack).toEqual(Exit.fail("undo"))
      yield* sql.withTransaction(Effect.gen(function*() {
        // In the transaction, a savepoint undoes the key. Otherwise the key is known.
        yield* Effect.ignore(sql.withTransaction(Effect.zipRight(create, Effect.fail("undo"))))
        expect(yield* create).toEqual(yield* create)
      }))
      expect((yield* create).position).toBe(2)
      expect([...yield* Queue.takeAll(queue)].map(({ position }) => position)).toEqual([2])
    }).pipe(Effect.provide(Sqlite.layerTemporary)))

  it.scopedLive("stores a refusal in the caller's transaction if that commits", () =>
    Effect.gen(function*() {
      const command = yield* Command
      const sql = yield* SqlClient
      yield* command.createTenant({ pubkey: tenant })
      const one = Effect.flip(keyed("one")(command.activateRelay({ id: "a" })))
      const two = keyed("two")(command.activateRelay({ id: "a" }))
      yield* sql.withTransaction(one)
      expect(Exit.isFailure(yield* Effect.exit(sql.withTransaction(two)))).toBe(true)
      yield* command.createRelay(relay("a"))
      expect((yield* one)._tag).toBe("RelayNotFound")
      yield* two
    }).pipe(Effect.provide(Sqlite.layerTemporary)))

  it.scopedLive("stores no storage errors", () =>
    Effect.gen(function*() {
      const filename = yield* temporary
      const command = yield* open(filename)
      const database = yield* raw(filename)
      yield* command.createTenant({ pubkey: tenant })
      for (const table of ["event", "idempotency"]) {
        database.exec(`CREATE TRIGGER no BEFORE INSERT ON caravel_${table} BEGIN SELECT RAISE(ABORT, 'no'); END`)
        const create = keyed(table)(command.createRelay(relay(table)))
        expect((yield* Effect.flip(create))._tag).toBe("StorageError")
        database.exec("DROP TRIGGER no")
        expect((yield* create).resourceId).toBe(table)
      }
      expect(database.prepare("SELECT count(*) FROM caravel_event").pluck().get()).toBe(3)
    }))

  it.scopedLive("stores nothing for callers that were interrupted while they waited, and the answers of all others", () =>
    Effect.gen(function*() {
      const { activateRelay, createRelay, createTenant } = yield* Command
      yield* createTenant({ pubkey: tenant })
      yield* createRelay(relay("a"))
      const fibers = yield* held(Effect.gen(function*() {
        // No batch is taken before the connection is free.
        const fibers = yield* Effect.forEach(
          Array.from({ length: 300 }, (_, n) => n),
          (n) => Effect.fork(keyed(`${n}`)(activateRelay({ id: "a" })))
        )
        yield* turn
        yield* Fiber.interruptAll([...fibers.slice(0, 10), ...fibers.slice(256)])
        return fibers
      }))
      yield* Effect.forEach(fibers, Fiber.await)
      expect(yield* count).toBe(2 + 246)
      expect((yield* keyed("10")(activateRelay({ id: "a" }))).position).toBe(2 + 1)
      expect((yield* keyed("255")(activateRelay({ id: "a" }))).position).toBe(2 + 246)
      expect((yield* keyed("9")(activateRelay({ id: "a" }))).position).toBe(2 + 247)
      expect((yield* keyed("256")(activateRelay({ id: "a" }))).position).toBe(2 + 248)
    }).pipe(Effect.provide(Sqlite.layerTemporary)))

  it.scopedLive("conflicts with that of a relay's owner even if the relay is created in the same batch", () =>
    Effect.gen(function*() {
      const command = yield* Command
      yield* keyed("key")(command.createTenant({ pubkey: tenant }))
      const [created, activated] = yield* held(Effect.zipLeft(
        Effect.all([
          Effect.fork(command.createRelay(relay("a"))),
          Effect.fork(keyed("key")(command.activateRelay({ id: "a" })))
        ]),
        turn
      ))
      yield* Fiber.join(created)
      expect((yield* Effect.flip(Fiber.join(activated)))._tag).toBe("IdempotencyConflict")
      expect((yield* keyed("key")(command.createTenant({ pubkey: tenant }))).position).toBe(1)
    }).pipe(Effect.provide(Sqlite.layerTemporary)))

  it.scopedLive("is kept for the time of the option, and expired ones are deleted a few at a time", () =>
    Effect.gen(function*() {
      const filename = yield* temporary
      const command = yield* open(filename, { idempotencyKeysKept: "1 hour" })
      const database = yield* raw(filename)
      const kept = () => database.prepare("SELECT count(*) FROM caravel_idempotency").pluck().get()
      const send = (key: string) => keyed(key)(command.setTenantPastDue(tenant))
      const sendMany = (hour: number, length: number) =>
        Effect.forEach(Array.from({ length }, (_, n) => `${hour}-${n}`), send, { concurrency: "unbounded" }).pipe(
          atHour(hour)
        )
      yield* command.createTenant({ pubkey: tenant })
      yield* sendMany(1, 100)
      expect(kept()).toBe(100)
      yield* sendMany(1.999, 1)
      expect(kept()).toBe(101)
      yield* sendMany(2, 1)
      expect(kept()).toBe(102 - 4)
      // A repeated key deletes nothing. An expired key counts as new.
      yield* sendMany(2, 1)
      expect(kept()).toBe(98)
      yield* sendMany(2.5, 30)
      expect(kept()).toBe(1 + 1 + 30)
      yield* atHour(3)(send("1-50"))
      expect(database.prepare("SELECT count(*) FROM caravel_event").pluck().get()).toBe(1 + 100 + 1 + 1 + 30 + 1)
    }))

  it.scopedLive("may be kept for ever, or for a part of a millisecond", () =>
    Effect.flatMap(temporary, (filename) => {
      let files = 0
      return keptFor((options) => Sqlite.layer({ filename: `${filename}-${files++}`, ...options }))
    }))

  it.scopedLive("is stored as hashes from which a secret cannot be guessed", () =>
    Effect.gen(function*() {
      const filename = yield* temporary
      const command = yield* open(filename)
      const database = yield* raw(filename)
      const nwcUrl = "nostr+walletconnect://wallet?secret=b0b5ecre7"
      yield* keyed("the-key")(command.createTenant({ pubkey: tenant, nwcUrl }))
      yield* Effect.flip(keyed("refused")(command.createTenant({ pubkey: tenant, nwcUrl })))
      yield* keyed("cleared")(command.updateTenant({ pubkey: tenant, nwcUrl: null }))
      const rows = database.prepare("SELECT * FROM caravel_idempotency").all()
      expect(rows).toHaveLength(3)
      const text = JSON.stringify(rows)
      const canonical = JSON.stringify([[null, ["_tag", "CreateTenant"], ["nwcUrl", nwcUrl], ["pubkey", tenant], [
        "stripeCustomerId",
        null
      ]]])
      for (const guess of [nwcUrl, "b0b5ecre7", "the-key", canonical, JSON.stringify([canonical])]) {
        expect(text).not.toContain(guess)
        for (const encoding of ["hex", "base64url"] as const) {
          expect(text).not.toContain(createHash("sha256").update(guess).digest(encoding))
        }
      }
      // With the key, a secret can be guessed. This is the only way, and shows that the guesses above are close.
      const known = createHash("sha256").update(JSON.stringify(["the-key", canonical])).digest("base64url")
      expect(text).toContain(known)
    }))

  it.scopedLive("costs commands without one no statement", () =>
    Effect.gen(function*() {
      const filename = yield* temporary
      const command = yield* open(filename)
      const database = yield* raw(filename)
      database.exec("ALTER TABLE caravel_idempotency RENAME TO hidden")
      yield* command.createTenant({ pubkey: tenant })
      expect((yield* Effect.flip(command.createTenant({ pubkey: tenant })))._tag).toBe("TenantAlreadyExists")
      expect((yield* Effect.flip(keyed("key")(command.setTenantPastDue(tenant))))._tag).toBe("StorageError")
    }))
})

const kills = LongRun.count("CARAVEL_KILLS", { usual: 4, long: 1000 })

/** A database that this process subscribes to, and to which others send commands. */
const world = Effect.gen(function*() {
  const filename = yield* temporary
  const context = yield* Layer.build(Sqlite.layer({ filename, synchronous: "normal" }))
  const command = Context.get(context, Command)
  yield* command.createTenant({ pubkey: tenant })
  yield* command.createRelay(relay("shared"))
  const queue = yield* command.notify.subscribe
  const script = yield* bundled("./keyed.ts")
  const answers = new Map<string, Set<string>>()
  return {
    spawn: (copies: number) => spawned(script, [filename, `${copies}`]),
    /** Collects the answers of a process, and returns their number. An incomplete line is ignored. */
    collect: (child: Child) => {
      const lines = child.output.split("\n").slice(0, -1)
      for (const line of lines) {
        const [n, answer] = line.split(" ") as [string, string]
        answers.set(n, (answers.get(n) ?? new Set()).add(answer))
      }
      expect(child.errors).toBe("")
      return lines.length
    },
    /** Expects the same result as if each command had been sent once. */
    verify: Effect.gen(function*() {
      expect(answers.size).toBe(accepted + 100)
      expect([...answers.values()].filter(({ size }) => size !== 1)).toEqual([])
      const events = yield* Context.get(context, Journal).read(Position.make(2), 10_000)
      expect(events.length).toBe(accepted)
      const given = [...answers].map(([n, answer]) => [Number(n), [...answer][0]!] as const)
      expect(given.filter(([n]) => n >= accepted).map(([, answer]) => answer)).toEqual(
        Array(100).fill("SubdomainTaken")
      )
      const told = given.filter(([n]) => n < accepted).map(([, answer]) => answer).sort()
      expect(told).toEqual(events.map(({ id, position }) => `${position}:${id}`).sort())
      const heard: Array<string> = []
      while (heard.length < accepted) heard.push((yield* Queue.take(queue)).id)
      expect(heard).toEqual(events.map(({ id }) => id))
      // The next broadcast is that of the next command: there was none in between.
      const last = yield* command.activateRelay({ id: "shared" })
      expect([...yield* Queue.takeAll(queue)]).toEqual([last])
    })
  }
})

describe("1,000 commands with keys, and 100 that are refused,", () => {
  it.scopedLive(
    "each sent three times concurrently from two processes, take effect once and get three equal answers",
    () =>
      Effect.gen(function*() {
        const { collect, spawn, verify } = yield* world
        const children = [yield* spawn(2), yield* spawn(1)]
        for (const child of children) yield* child.ended
        expect(children.map(collect)).toEqual([2 * (accepted + 100), accepted + 100])
        yield* verify
      }),
    300_000
  )

  it.scopedLive(
    `sent by processes that are killed ${kills} times, take effect once and get equal answers`,
    () =>
      Effect.gen(function*() {
        const { collect, spawn, verify } = yield* world
        let children: ReadonlyArray<Child> = [yield* spawn(2), yield* spawn(1)]
        let answersOfKilled = 0
        for (let round = 0; round < kills; round++) {
          const [victim, other] = (yield* Random.nextBoolean) ? children : children.toReversed()
          // While it starts, or at a random point of its work.
          const characters = yield* Random.nextIntBetween(0, 4_000)
          yield* Effect.raceFirst(victim!.writes(victim!.written + characters), other!.ended)
          yield* victim!.kill("SIGKILL")
          yield* victim!.ended
          answersOfKilled += collect(victim!)
          children = [other!, yield* spawn((yield* Random.nextBoolean) ? 1 : 2)]
        }
        for (const child of children) yield* child.ended
        children.forEach(collect)
        yield* verify
        // Otherwise this would prove nothing.
        expect(answersOfKilled).toBeGreaterThan(0)
      }),
    LongRun.timeout(600_000)
  )
})

withPostgres("PostgreSQL: an idempotency key", (url) => {
  it.scopedLive("may be kept for ever, or for a part of a millisecond", () =>
    keptFor((options) => layerTemporary(url, options)))
})
