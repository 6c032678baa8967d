import { ActivityFeed, Command, Journal, Position, Query, type StorageError } from "@caravel/domain"
import { type Postgres, Sqlite } from "@caravel/sql"
import { SafeIntegers, SqlClient } from "@effect/sql/SqlClient"
import { describe, expect, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Layer, Option, Queue, type Scope, Stream } from "effect"
import { layerTemporary, withPostgres } from "../fixtures/postgres.js"

const pubkey = "a".repeat(64)
const relay = (id: string) => ({ id, tenant: pubkey, subdomain: id })

/** The data that is visible outside of the caller's transaction. */
const seen = Effect.gen(function*() {
  const query = yield* Query
  const journal = yield* Journal
  return {
    relays: (yield* query.relays).map(({ id }) => id),
    events: (yield* journal.read(Position.make(0), 100)).map(({ _tag }) => _tag),
    activities: (yield* query.activity()).map(({ activityType }) => activityType)
  }
})

const onlyTenant = { relays: [], events: ["TenantCreated"], activities: ["create_tenant"] }

/** A foreign key that is checked only at COMMIT, and a trigger that violates it for one relay. */
const sabotage = Effect.flatMap(SqlClient, (sql) =>
  Effect.gen(function*() {
    yield* sql`CREATE TABLE parent (id TEXT PRIMARY KEY)`
    yield* sql`CREATE TABLE child (parent TEXT REFERENCES parent (id) DEFERRABLE INITIALLY DEFERRED)`
    yield* sql.onDialectOrElse({
      pg: () =>
        Effect.zipRight(
          sql`CREATE FUNCTION sabotage() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN INSERT INTO child (parent) VALUES ('nobody'); RETURN NULL; END $$`,
          sql`CREATE TRIGGER sabotage AFTER INSERT ON caravel_event FOR EACH ROW WHEN (NEW.resource_id = 'doomed')
            EXECUTE FUNCTION sabotage()`
        ),
      orElse: () =>
        sql`CREATE TRIGGER sabotage AFTER INSERT ON caravel_event WHEN NEW.resource_id = 'doomed'
          BEGIN INSERT INTO child (parent) VALUES ('nobody'); END`
    })
  }))

const transactions = (layer: Layer.Layer<Postgres.Services, StorageError>) => {
  /** A test on a database with one tenant. */
  const test = <A, E>(
    title: string,
    body: (services: { readonly command: typeof Command.Service; readonly sql: SqlClient }) => Effect.Effect<
      A,
      E,
      Postgres.Services | Scope.Scope
    >
  ) =>
    it.scopedLive(title, () =>
      Effect.gen(function*() {
        const command = yield* Command
        const sql = yield* SqlClient
        yield* command.createTenant({ pubkey })
        return yield* body({ command, sql })
      }).pipe(Effect.provide(layer)))

  describe("a command in the caller's transaction", () => {
    test("is undone when it rolls back", ({ command, sql }) =>
      Effect.gen(function*() {
        const query = yield* Query
        const queue = yield* command.notify.subscribe
        const exit = yield* Effect.exit(sql.withTransaction(Effect.gen(function*() {
          yield* command.createRelay(relay("a"))
          yield* command.setTenantPastDue(pubkey)
          expect((yield* query.relays).map(({ id }) => id)).toEqual(["a"])
          return yield* Effect.fail("undo")
        })))
        expect(exit).toEqual(Exit.fail("undo"))
        expect(yield* seen).toEqual(onlyTenant)
        expect(yield* Queue.size(queue)).toBe(0)
        // Later commands are unaffected, and its position is used again.
        expect((yield* command.createRelay(relay("b"))).position).toBe(2)
        expect((yield* Queue.take(queue)).resourceId).toBe("b")
      }))

    test("is broadcast after the outer commit, and not before", ({ command, sql }) =>
      Effect.gen(function*() {
        const queue = yield* command.notify.subscribe
        yield* sql.withTransaction(Effect.gen(function*() {
          yield* sql.withTransaction(command.createRelay(relay("a")))
          yield* sql`INSERT INTO caravel_secret (id, value) VALUES ('mine', 'x')`
          expect(yield* Queue.size(queue)).toBe(0)
        }))
        expect(yield* Queue.size(queue)).toBe(1)
        expect(yield* seen).toMatchObject({ relays: ["a"] })
      }))

    test("is undone alone when it is refused or its own savepoint rolls back", ({ command, sql }) =>
      Effect.gen(function*() {
        yield* sql.withTransaction(Effect.gen(function*() {
          yield* command.createRelay(relay("a"))
          yield* Effect.flip(command.createRelay(relay("a")))
          yield* Effect.flip(sql.withTransaction(Effect.zipRight(command.createRelay(relay("b")), Effect.fail("undo"))))
          yield* command.createRelay(relay("c"))
        }))
        expect(yield* seen).toMatchObject({ relays: ["a", "c"] })
      }))

    test("releases its position when its savepoint rolls back, and the next command at that position is broadcast", ({ command, sql }) =>
      Effect.gen(function*() {
        const queue = yield* command.notify.subscribe
        yield* sql.withTransaction(
          Effect.flip(sql.withTransaction(Effect.zipRight(command.createRelay(relay("undone")), Effect.fail("undo"))))
        )
        expect(yield* Queue.size(queue)).toBe(0)
        expect((yield* command.createRelay(relay("a"))).position).toBe(2)
        expect(yield* Queue.size(queue)).toBe(1)
      }))

    test("runs one after another with concurrent commands of the same transaction", ({ command, sql }) =>
      Effect.gen(function*() {
        const journal = yield* Journal
        yield* command.createRelay(relay("a"))
        yield* sql.withTransaction(
          Effect.all(Array.from({ length: 50 }, () => command.deactivateRelay({ id: "a" })), {
            concurrency: "unbounded"
          })
        )
        const versions = (yield* journal.read(Position.make(1), 100)).map(({ version }) => version)
        expect(versions).toEqual(Array.from({ length: 51 }, (_, index) => index + 1))
      }))

    test("does not deadlock with the writer or with commands that wait for the transaction", ({ command, sql }) =>
      Effect.gen(function*() {
        const begun = yield* Deferred.make<void>()
        const waiting = yield* Deferred.await(begun).pipe(
          Effect.zipRight(Effect.forEach(["x", "y", "z"], (id) => command.createRelay(relay(id)), { concurrency: 3 })),
          Effect.fork
        )
        yield* sql.withTransaction(Effect.gen(function*() {
          yield* command.createRelay(relay("a"))
          // On PostgreSQL a transaction takes the append lock only with its first command.
          yield* Deferred.succeed(begun, undefined)
          for (const id of ["b", "c"]) {
            yield* Effect.yieldNow()
            yield* command.createRelay(relay(id))
          }
          expect(Option.isNone(yield* Fiber.poll(waiting))).toBe(true)
        }))
        const later = yield* Fiber.join(waiting)
        expect(later.map(({ position }) => position)).toEqual([5, 6, 7])
      }))

    it.scopedLive("is not in a feed that is read in the same transaction, before the commit", () =>
      Effect.gen(function*() {
        const command = yield* Command
        const feed = yield* ActivityFeed
        const sql = yield* SqlClient
        yield* command.createTenant({ pubkey })
        const positions = yield* sql.withTransaction(Effect.zipRight(
          command.createRelay(relay("a")),
          feed.since(0).pipe(Stream.map(({ position }) => position), Stream.take(1), Stream.runCollect)
        ))
        expect([...positions]).toEqual([1])
      }).pipe(Effect.provide(layer)))
  })

  describe("a resource that is acquired in a transaction", () => {
    it.scopedLive("belongs to the caller's scope", () =>
      Effect.gen(function*() {
        const command = yield* Command
        const sql = yield* SqlClient
        const queue = yield* sql.withTransaction(command.notify.subscribe)
        yield* command.createTenant({ pubkey })
        expect((yield* Queue.take(queue)).position).toBe(1)
      }).pipe(Effect.provide(layer)))
  })

  describe("a transaction of another database", () => {
    it.scopedLive("is not joined: the command commits on its own", () =>
      Effect.gen(function*() {
        const other = { context: yield* Layer.build(Layer.fresh(layer)) }
        const command = yield* Command
        const otherSql = yield* Effect.provide(SqlClient, other.context)
        const queue = yield* command.notify.subscribe
        yield* Effect.flip(otherSql.withTransaction(Effect.gen(function*() {
          yield* command.createTenant({ pubkey })
          expect(yield* Queue.size(queue)).toBe(1)
          return yield* Effect.fail("undo")
        })))
        expect(yield* seen).toEqual(onlyTenant)
        expect(yield* Effect.provide(seen, other.context)).toEqual({ relays: [], events: [], activities: [] })
      }).pipe(Effect.provide(layer)))
  })

  describe("a caller with SafeIntegers", () => {
    it.scopedLive("does not change the integers that Caravel's statements return, inside and outside of a transaction", () =>
      Effect.gen(function*() {
        const command = yield* Command
        const sql = yield* SqlClient
        yield* command.createTenant({ pubkey })
        yield* sql.withTransaction(Effect.gen(function*() {
          yield* command.createRelay(relay("a"))
          yield* command.deactivateRelay({ id: "a" })
          expect(yield* sql`SELECT count(*) AS events FROM caravel_event`).toEqual([{ events: 3n }])
          expect((yield* (yield* Query).relays)[0]).toMatchObject({ id: "a", version: 2 })
        }))
        expect((yield* command.activateRelay({ id: "a" })).position).toBe(4)
        expect((yield* seen).relays).toEqual(["a"])
      }).pipe(Effect.provideService(SafeIntegers, true), Effect.provide(layer)))
  })

  describe("a fiber that outlives its transaction", () => {
    test("cannot write any more, in this or another transaction", ({ command, sql }) =>
      Effect.gen(function*() {
        const ended = yield* Deferred.make<void>()
        const survivor = yield* sql.withTransaction(
          Deferred.await(ended).pipe(
            Effect.zipRight(Effect.all([
              Effect.flip(sql`INSERT INTO caravel_secret (id, value) VALUES ('late', 'x')`),
              Effect.flip(command.createRelay(relay("late")))
            ])),
            Effect.forkDaemon
          )
        )
        yield* Deferred.succeed(ended, undefined)
        const [plain, written] = yield* Fiber.join(survivor)
        expect(plain.message).toBe("The transaction has ended")
        expect(written).toMatchObject({ _tag: "StorageError", operation: "commit" })
        expect(yield* seen).toEqual(onlyTenant)
      }))
  })

  describe("a COMMIT that fails", () => {
    it.scopedLive("fails the command, broadcasts nothing, and the next command works", () =>
      Effect.gen(function*() {
        const command = yield* Command
        yield* sabotage
        yield* command.createTenant({ pubkey })
        const queue = yield* command.notify.subscribe
        const error = yield* Effect.flip(command.createRelay(relay("doomed")))
        expect(error).toMatchObject({ _tag: "StorageError", reason: "other", operation: "commit" })
        expect(yield* Queue.size(queue)).toBe(0)
        expect(yield* seen).toEqual(onlyTenant)
        expect((yield* command.createRelay(relay("next"))).position).toBe(2)
      }).pipe(Effect.provide(layer)))

    it.scopedLive("in a batch fails only the command that caused it", () =>
      Effect.gen(function*() {
        const command = yield* Command
        yield* sabotage
        yield* command.createTenant({ pubkey })
        const ids = ["a", "b", "doomed", "c", "d"]
        const outcomes = yield* Effect.forEach(ids, (id) => Effect.either(command.createRelay(relay(id))), {
          concurrency: "unbounded"
        })
        expect(outcomes.map(({ _tag }) => _tag)).toEqual(["Right", "Right", "Left", "Right", "Right"])
        expect(yield* seen).toMatchObject({ relays: ["a", "b", "c", "d"] })
      }).pipe(Effect.provide(layer)))

    test("in the caller's own transaction is a typed error, and the client keeps working", ({ command, sql }) =>
      Effect.gen(function*() {
        yield* sabotage
        const queue = yield* command.notify.subscribe
        const error = yield* Effect.flip(sql.withTransaction(command.createRelay(relay("doomed"))))
        expect(error._tag).toBe("SqlError")
        expect(yield* Queue.size(queue)).toBe(0)
        yield* sql`INSERT INTO parent (id) VALUES ('kept')`
        expect(yield* sql`SELECT id FROM parent`).toEqual([{ id: "kept" }])
        expect(yield* seen).toEqual(onlyTenant)
      }))
  })
}

describe("SQLite", () => transactions(Sqlite.layerTemporary))
withPostgres("PostgreSQL", (url) => transactions(layerTemporary(url)))
