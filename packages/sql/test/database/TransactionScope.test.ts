/** Fibers that share a transaction. */
import { CreateRelay, Journal, Position, type StorageError } from "@caravel/domain"
import { ConsumerStore } from "@caravel/pubsub"
import { type Postgres, Sqlite } from "@caravel/sql"
import { describe, expect, it } from "@effect/vitest"
import { type Context, Deferred, Effect, Either, Exit, Fiber, type Layer, Option, Queue, Schema, Stream } from "effect"
import { pubkey, stored, turns, world } from "../fixtures/notes.js"
import { layerTemporary, withPostgres } from "../fixtures/postgres.js"

const relay = (id: string) => ({ id, tenant: pubkey, subdomain: id })
const many = Array.from(
  { length: 300 },
  (_, index) => Schema.decodeSync(CreateRelay)({ _tag: "CreateRelay", ...relay(`r${index}`) })
)

const scopes = (layer: Layer.Layer<Postgres.Services, StorageError>) => {
  describe("while a nested transaction is open", () => {
    for (const ending of ["fails", "succeeds"] as const) {
      it.scopedLive(`writes of other fibers in the outer transaction are complete if it ${ending}`, () =>
        Effect.gen(function*() {
          const { command, note, notes, queue, sql } = yield* world
          yield* sql.withTransaction(Effect.gen(function*() {
            const open = yield* Deferred.make<void>()
            const nested = sql.withTransaction(Effect.gen(function*() {
              yield* command.createRelay(relay("nested"))
              yield* Deferred.succeed(open, undefined)
              yield* turns
              // @effect-diagnostics-next-line missingReturnYieldStar:off
              if (ending === "fails") yield* Effect.fail("undo")
            }))
            const others = Effect.zipRight(
              Deferred.await(open),
              Effect.all([
                command.createRelay(relay("b")),
                command.submit(many),
                note("plain"),
                sql.withTransaction(Effect.zipRight(note("sibling"), command.createRelay(relay("c"))))
              ], { concurrency: "unbounded" })
            )
            yield* Effect.all([Effect.either(nested), others], { concurrency: 2 })
          }))
          expect(yield* notes).toEqual(["plain", "sibling"])
          const expected = [...many.map(({ id }) => id), "b", "c", ...ending === "fails" ? [] : ["nested"]]
          expect((yield* stored).sort()).toEqual(expected.sort())
          expect([...yield* Queue.takeAll(queue)].map(({ resourceId }) => resourceId).sort()).toEqual(expected)
        }).pipe(Effect.provide(layer)))
    }

    it.scopedLive("statements and commands that wait for it can be interrupted at once, and have no effect", () =>
      Effect.gen(function*() {
        const { command, note, notes, sql } = yield* world
        yield* sql.withTransaction(Effect.gen(function*() {
          const open = yield* Deferred.make<void>()
          const done = yield* Deferred.make<void>()
          const nested = yield* Effect.fork(sql.withTransaction(
            Effect.zipRight(Deferred.succeed(open, undefined), Deferred.await(done))
          ))
          yield* Deferred.await(open)
          const others: ReadonlyArray<Effect.Effect<unknown, unknown>> = [
            command.createRelay(relay("b")),
            note("plain"),
            sql.withTransaction(note("sibling"))
          ]
          // @effect-diagnostics-next-line anyUnknownInErrorContext:off
          const waiting = yield* Effect.forEach(others, (other) => Effect.fork(other))
          yield* turns
          for (const fiber of waiting) {
            expect(Option.isNone(yield* Fiber.poll(fiber))).toBe(true)
            expect(Exit.isInterrupted(yield* Fiber.interrupt(fiber))).toBe(true)
          }
          yield* Deferred.succeed(done, undefined)
          yield* Fiber.join(nested)
          yield* note("after")
        }))
        expect(yield* notes).toEqual(["after"])
        expect(yield* stored).toEqual([])
      }).pipe(Effect.provide(layer)))

    it.scopedLive(
      "and waits for a fiber that waits for it, it is rolled back after five seconds, and the other fiber continues",
      () =>
        Effect.gen(function*() {
          const { command, note, notes, sql } = yield* world
          const [nested, other] = yield* sql.withTransaction(Effect.gen(function*() {
            const open = yield* Deferred.make<void>()
            const done = yield* Deferred.make<void>()
            return yield* Effect.all([
              Effect.flip(sql.withTransaction(Effect.gen(function*() {
                yield* note("nested")
                yield* Deferred.succeed(open, undefined)
                yield* Deferred.await(done)
              }))),
              Deferred.await(open).pipe(
                Effect.zipRight(command.createRelay(relay("b"))),
                Effect.tap(Deferred.succeed(done, undefined))
              )
            ], { concurrency: 2 })
          }))
          expect(nested.message).toContain("rolled back")
          expect(other.resourceId).toBe("b")
          expect(yield* notes).toEqual([])
          expect(yield* stored).toEqual(["b"])
        }).pipe(Effect.provide(layer)),
      20_000
    )

    it.scopedLive("a statement of the outer transaction in the same fiber does not hang", () =>
      Effect.gen(function*() {
        const { note, notes, sql } = yield* world
        const nested = yield* sql.withTransaction(Effect.gen(function*() {
          const outer = yield* Effect.context<never>()
          return yield* Effect.flip(sql.withTransaction(
            Effect.zipRight(note("nested"), Effect.mapInputContext(note("outer"), (_: Context.Context<never>) => outer))
          ))
        }))
        expect(nested.message).toContain("rolled back")
        expect(yield* notes).toEqual(["outer"])
      }).pipe(Effect.provide(layer)), 20_000)
  })

  describe("the end of a transaction", () => {
    it.scopedLive("waits for a submit that one of its fibers has started", () =>
      Effect.gen(function*() {
        const { command, sql, written } = yield* world
        const fiber = yield* sql.withTransaction(Effect.zipLeft(Effect.forkDaemon(command.submit(many)), written))
        const exit = yield* Fiber.await(fiber)
        expect(yield* stored).toHaveLength(Exit.isSuccess(exit) ? 300 : 0)
        expect(Exit.isSuccess(exit)).toBe(true)
      }).pipe(Effect.provide(layer)))

    it.scopedLive("waits for nested transactions that its fibers have open, and then refuses further statements", () =>
      Effect.gen(function*() {
        const { command, note, notes, sql } = yield* world
        const open = yield* Deferred.make<void>()
        const ended = yield* Deferred.make<void>()
        const nested = yield* sql.withTransaction(Effect.gen(function*() {
          const nested = yield* Effect.forkDaemon(Effect.zip(
            sql.withTransaction(Effect.gen(function*() {
              yield* Deferred.succeed(open, undefined)
              yield* turns
              yield* note("nested")
              yield* command.createRelay(relay("a"))
            })),
            Effect.zipRight(
              Deferred.await(ended),
              Effect.all([
                Effect.flip(note("late")),
                Effect.flip(command.createRelay(relay("late"))),
                Effect.flip(sql.withTransaction(note("late")))
              ])
            )
          ))
          yield* Deferred.await(open)
          return nested
        }))
        yield* Deferred.succeed(ended, undefined)
        const [, [plain, written, transaction]] = yield* Fiber.join(nested)
        expect(plain.message).toBe("The transaction has ended")
        expect(written).toMatchObject({ _tag: "StorageError", message: expect.stringContaining("outlived") })
        expect(transaction.message).toBe("The transaction has ended")
        expect(yield* notes).toEqual(["nested"])
        expect(yield* stored).toEqual(["a"])
      }).pipe(Effect.provide(layer)))

    it.scopedLive("that is nested leaves its fibers without a transaction, even if the outer one is still open", () =>
      Effect.gen(function*() {
        const { command, note, notes, sql } = yield* world
        yield* sql.withTransaction(Effect.gen(function*() {
          const ended = yield* Deferred.make<void>()
          const survivor = yield* sql.withTransaction(Effect.forkDaemon(Effect.zipRight(
            Deferred.await(ended),
            Effect.all([Effect.flip(note("late")), Effect.flip(command.createRelay(relay("late")))])
          )))
          yield* Deferred.succeed(ended, undefined)
          for (const error of yield* Fiber.join(survivor)) expect(error.message).toMatch(/ended|outlived/)
          yield* note("outer")
        }))
        expect(yield* notes).toEqual(["outer"])
        expect(yield* stored).toEqual([])
      }).pipe(Effect.provide(layer)))

    it.scopedLive("that fails does not wait: statements in progress of its fibers fail and have no effect", () =>
      Effect.gen(function*() {
        const { command, note, notes, queue, sql } = yield* world
        const open = yield* Deferred.make<void>()
        const failed = yield* Deferred.make<void>()
        const fibers: Array<Fiber.Fiber<unknown, unknown>> = []
        yield* Effect.flip(sql.withTransaction(Effect.gen(function*() {
          fibers.push(
            yield* Effect.forkDaemon(sql.withTransaction(Effect.gen(function*() {
              yield* note("nested")
              yield* Deferred.succeed(open, undefined)
              yield* Deferred.await(failed)
              yield* note("late")
            })))
          )
          yield* Deferred.await(open)
          fibers.push(yield* Effect.forkDaemon(command.createRelay(relay("waits"))))
          yield* turns
          return yield* Effect.fail("undo")
        })))
        yield* Deferred.succeed(failed, undefined)
        for (const fiber of fibers) expect(Exit.isFailure(yield* Fiber.await(fiber))).toBe(true)
        expect(yield* notes).toEqual([])
        expect(yield* stored).toEqual([])
        expect((yield* command.createRelay(relay("next"))).position).toBe(2)
        expect(yield* Queue.size(queue)).toBe(1)
      }).pipe(Effect.provide(layer)))
  })

  it.scopedLive("a nested transaction that begins while the outer one fails writes nothing", () =>
    Effect.gen(function*() {
      const { command, note, notes, sql } = yield* world
      const fibers: Array<Fiber.Fiber<unknown, unknown>> = []
      const late = sql.withTransaction(Effect.zipRight(command.createRelay(relay("late")), note("late")))
      for (let steps = 0; steps < 5; steps++) {
        yield* Effect.flip(sql.withTransaction(Effect.gen(function*() {
          fibers.push(yield* Effect.forkDaemon(late))
          yield* Effect.repeatN(Effect.yieldNow(), steps)
          return yield* Effect.fail("undo")
        })))
      }
      yield* Effect.forEach(fibers, (fiber) => Fiber.await(fiber))
      expect(yield* notes).toEqual([])
      expect(yield* stored).toEqual([])
    }).pipe(Effect.provide(layer)))

  it.scopedLive("a nested transaction that cannot succeed because a statement in it failed is undone alone", () =>
    Effect.gen(function*() {
      const { note, notes, sql } = yield* world
      yield* sql.withTransaction(Effect.gen(function*() {
        yield* note("outer")
        const nested = Effect.gen(function*() {
          yield* note("nested")
          yield* Effect.flip(note("outer"))
          // PostgreSQL refuses statements after one that failed.
          yield* Effect.ignore(note("more"))
        })
        const exit = yield* Effect.exit(sql.withTransaction(nested))
        expect(Exit.isFailure(exit)).toBe(sql.onDialectOrElse({ pg: () => true, orElse: () => false }))
        yield* note("after")
      }))
      expect(yield* notes).toEqual(sql.onDialectOrElse({
        pg: () => ["after", "outer"],
        // On SQLite a failed statement has no effect, and the others take effect.
        orElse: () => ["after", "more", "nested", "outer"]
      }))
    }).pipe(Effect.provide(layer)))

  it.scopedLive("a fiber that reads a stream in a transaction may run statements meanwhile", () =>
    Effect.gen(function*() {
      const { command, note, notes, sql } = yield* world
      yield* sql.withTransaction(Effect.gen(function*() {
        yield* Effect.forEach(["a", "b", "c"], note)
        yield* sql`SELECT id FROM note ORDER BY id`.stream.pipe(
          Stream.map(({ id }) => String(id)),
          Stream.runForEach((id) => Effect.all([note(`${id}${id}`), command.createRelay(relay(id))]))
        )
      }))
      expect(yield* notes).toEqual(["a", "aa", "b", "bb", "c", "cc"])
      expect(yield* stored).toEqual(["a", "b", "c"])
    }).pipe(Effect.provide(layer)))

  it.scopedLive("a rebuild does not share its transaction with other fibers", () =>
    Effect.gen(function*() {
      const { command, notes, sql } = yield* world
      const journal = yield* Journal
      yield* sql.withTransaction(Effect.gen(function*() {
        const open = yield* Deferred.make<void>()
        const step = Effect.ignore(sql`INSERT INTO note (id) VALUES ('step') ON CONFLICT DO NOTHING`)
        const rebuild = journal.rebuild(() =>
          Effect.all([Deferred.succeed(open, undefined), step, turns], { discard: true })
        )
        const other = Effect.zipRight(Deferred.await(open), command.createRelay(relay("a")))
        yield* Effect.all([rebuild, other], { concurrency: 2 })
      }))
      expect(yield* notes).toEqual(["step"])
      expect(yield* stored).toEqual(["a"])
    }).pipe(Effect.provide(layer)))

  it.scopedLive("a consumer's transaction waits for commands of fibers that its handler has forked", () =>
    Effect.gen(function*() {
      const { command, written } = yield* world
      const store = yield* ConsumerStore.ConsumerStore
      yield* store.checkpoints.register("consumer", Position.make(0), {})
      const lease = Option.getOrThrow(
        yield* store.leases.acquire("consumer", "run", { owner: null, fence: 0, heartbeat: 0 }, "owner")
      )
      const fiber = yield* store.transaction(Effect.gen(function*() {
        const fiber = yield* Effect.forkDaemon(command.submit(many))
        yield* written
        yield* store.checkpoints.move(lease, Position.make(0), Position.make(1))
        return fiber
      }))
      expect(Either.isRight(yield* Effect.either(Fiber.join(fiber)))).toBe(true)
      expect(yield* stored).toHaveLength(300)
      expect((yield* store.checkpoints.find("consumer")).pipe(Option.map(({ position }) => position))).toEqual(
        Option.some(1)
      )
    }).pipe(Effect.provide(layer)))
}

describe("SQLite", () => scopes(Sqlite.layerTemporary))
withPostgres("PostgreSQL", (url) => scopes(layerTemporary(url)))
