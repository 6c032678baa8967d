/** The errors that callers get when PostgreSQL fails, and failures that they do not notice. */
import { Command, Journal, Position, StorageError } from "@caravel/domain"
import { Postgres } from "@caravel/sql"
import { SqlClient } from "@effect/sql/SqlClient"
import { describe, expect, it } from "@effect/vitest"
import { Config, ConfigProvider, Context, Effect, Exit, Fiber, Layer, Queue, Redacted, TestClock } from "effect"
import { leaks } from "../fixtures/leaks.js"
import { inSchema, layerTemporary, raw, statements, temporarySchema, withPostgres } from "../fixtures/postgres.js"
import { proxied } from "../fixtures/proxy.js"

const pubkey = "a".repeat(64)
const relay = (id: string) => ({ id, tenant: pubkey, subdomain: id })

const resources = Effect.gen(function*() {
  const events = yield* (yield* Journal).read(Position.make(0), 100)
  return events.map(({ resourceId }) => resourceId)
})

const refusal = (options: Postgres.Options) => Effect.flip(Effect.scoped(Layer.build(Postgres.layer(options))))

withPostgres("PostgreSQL, when it fails", (url) => {
  describe("a connection that is lost during COMMIT", () => {
    const world = Effect.gen(function*() {
      const link = yield* proxied(inSchema(url, yield* temporarySchema(url)))
      const context = yield* Layer.build(Postgres.layer({ url: Redacted.make(link.url), wakeUps: "poll" }))
      const command = Context.get(context, Command)
      yield* command.createTenant({ pubkey })
      return { link, context, command }
    })

    for (const what of ["COMMIT", "its answer"] as const) {
      it.scopedLive(`is hidden from the caller: the command takes effect once (${what} is lost)`, () =>
        Effect.gen(function*() {
          const { command, context, link } = yield* world
          const queue = yield* command.notify.subscribe
          yield* link.lose(what)
          const activity = yield* command.createRelay(relay("a"))
          expect(activity.position).toBe(2)
          expect(yield* Queue.size(queue)).toBe(1)
          expect(yield* Effect.provide(resources, context)).toEqual([pubkey, "a"])
        }))
    }

    it.scopedLive("in the caller's transaction is resolved by finding out whether it has committed", () =>
      Effect.gen(function*() {
        const { command, context, link } = yield* world
        const sql = Context.get(context, SqlClient)
        yield* link.lose("its answer")
        yield* sql.withTransaction(Effect.zipRight(
          command.createRelay(relay("a")),
          // A savepoint that was rolled back says nothing about the transaction.
          Effect.flip(sql.withTransaction(Effect.zipRight(command.createRelay(relay("b")), Effect.fail("undo"))))
        ))
        yield* link.lose("COMMIT")
        const error = yield* Effect.flip(sql.withTransaction(command.createRelay(relay("c"))))
        expect(error._tag).toBe("SqlError")
        yield* link.lose("its answer")
        const unknown = yield* Effect.flip(sql.withTransaction(sql`SELECT 1`))
        expect(unknown.cause).toMatchObject({ _tag: "StorageError", reason: "commitUnknown" })
        expect(yield* Effect.provide(resources, context)).toEqual([pubkey, "a"])
      }))

    it.scoped("is a StorageError if the database stays unavailable, and a key makes a retry safe", () =>
      Effect.gen(function*() {
        const { command, context, link } = yield* world
        const queue = yield* command.notify.subscribe
        const send = Command.withIdempotencyKey("key")(command.createRelay(relay("a")))
        yield* link.lose("its answer", true)
        const sent = yield* Effect.fork(Effect.flip(send))
        while ((yield* Fiber.poll(sent))._tag === "None") yield* TestClock.adjust("1 second")
        expect(yield* Fiber.join(sent)).toMatchObject({ _tag: "StorageError", reason: "commitUnknown" })
        yield* link.reopen
        const again = yield* Effect.fork(send)
        while ((yield* Fiber.poll(again))._tag === "None") yield* TestClock.adjust("1 second")
        expect((yield* Fiber.join(again)).position).toBe(2)
        expect(yield* Effect.provide(resources, context)).toEqual([pubkey, "a"])
        expect((yield* Queue.take(queue)).resourceId).toBe("a")
      }))
  })

  it.scopedLive("a COMMIT after a failed statement is an error, as the server rolls back", () =>
    Effect.gen(function*() {
      const command = yield* Command
      const sql = yield* SqlClient
      yield* command.createTenant({ pubkey })
      const queue = yield* command.notify.subscribe
      const error = yield* Effect.flip(sql.withTransaction(Effect.zipRight(
        command.createRelay(relay("a")),
        Effect.flip(sql`SELECT nothing`)
      )))
      expect(error).toMatchObject({ _tag: "SqlError", message: "The transaction was rolled back" })
      expect(yield* Queue.size(queue)).toBe(0)
      expect(yield* resources).toEqual([pubkey])
    }).pipe(Effect.provide(layerTemporary(url))))

  it.scopedLive("a command that waits for another transaction for five seconds fails as busy", () =>
    Effect.gen(function*() {
      const schema = yield* temporarySchema(url)
      const context = yield* Layer.build(Postgres.layer({ url: Redacted.make(url), schema }))
      const command = Context.get(context, Command)
      yield* command.createTenant({ pubkey })
      const other = yield* raw(inSchema(url, schema))
      yield* Effect.promise(() =>
        other.query("BEGIN; SELECT pg_advisory_xact_lock('caravel_event'::regclass::oid::int, 0)")
      )
      const errors = yield* Effect.forEach(["a", "b"], (id) => Effect.flip(command.createRelay(relay(id))), {
        concurrency: 2
      })
      for (const error of errors) expect(error).toMatchObject({ _tag: "StorageError", reason: "busy" })
      yield* Effect.promise(() => other.query("ROLLBACK"))
      expect((yield* command.createRelay(relay("c"))).position).toBe(2)
    }))

  it.scopedLive("an interrupted statement is cancelled with its transaction, and the pool keeps working", () =>
    Effect.gen(function*() {
      const command = yield* Command
      const sql = yield* SqlClient
      yield* command.createTenant({ pubkey })
      const interrupted = yield* Effect.exit(
        sql.withTransaction(Effect.zipRight(command.createRelay(relay("a")), sql`SELECT pg_sleep(60)`)).pipe(
          Effect.timeout("100 millis")
        )
      )
      expect(Exit.isFailure(interrupted)).toBe(true)
      // The server notices in time, so that waiting for the lock succeeds.
      expect((yield* command.createRelay(relay("b"))).position).toBe(2)
      expect(yield* Effect.all(Array.from({ length: 20 }, () => sql`SELECT 1 AS one`), { concurrency: "unbounded" }))
        .toEqual(Array.from({ length: 20 }, () => [{ one: 1 }]))
    }).pipe(Effect.provide(layerTemporary(url, { maxConnections: 2 }))))

  describe("a database that cannot be opened", () => {
    const secret = "SECRET"
    const withPassword = (change: (url: URL) => void) => {
      const changed = new URL(url)
      changed.password = secret
      change(changed)
      return changed.href
    }
    const cases: ReadonlyArray<readonly [string, string, Partial<Postgres.Options>, reason: string]> = [
      ["there is no such database", withPassword((url) => url.pathname = "/nowhere"), {}, "other"],
      ["there is no such role", withPassword((url) => url.username = "nobody"), {}, "other"],
      ["no server listens", withPassword((url) => url.port = "1"), {}, "unavailable"],
      ["the URL is malformed", `postgres://user:${secret}@:99999/x`, {}, "other"],
      ["the URL is another database's", `mysql://user:${secret}@127.0.0.1/x`, {}, "other"],
      ["the schema's name is malformed", withPassword(() => {}), { schema: "a; DROP TABLE caravel_event" }, "other"]
    ]
    it.live.each(cases)(
      "fails with the reason, without the password: %s",
      ([, url, options, reason]) =>
        Effect.gen(function*() {
          const error = yield* refusal({ url: Redacted.make(url), ...options })
          expect(error).toMatchObject({ _tag: "StorageError", reason })
          expect(leaks(error, secret)).toBe(false)
        }),
      20_000
    )

    it.scopedLive("can have its options in the configuration", () =>
      Effect.gen(function*() {
        const schema = yield* temporarySchema(url)
        const layer = Postgres.layerConfig({ url: Config.redacted("URL"), schema: Config.string("SCHEMA") })
        const provider = ConfigProvider.fromMap(new Map([["URL", url], ["SCHEMA", schema]]))
        const context = yield* Effect.withConfigProvider(Layer.build(layer), provider)
        yield* Context.get(context, Command).createTenant({ pubkey })
        const missing = yield* Effect.flip(
          Effect.withConfigProvider(Layer.build(layer), ConfigProvider.fromMap(new Map()))
        )
        expect(missing).not.toBeInstanceOf(StorageError)
      }))
  })

  it.scopedLive("a newer schema is refused, and one of the same version is not changed", () =>
    Effect.gen(function*() {
      const schema = yield* temporarySchema(url)
      const options = { url: Redacted.make(url), schema }
      const openings = Array.from({ length: 4 }, () => Effect.scoped(Layer.build(Postgres.layer(options))))
      yield* Effect.all(openings, { concurrency: "unbounded" })
      const [rows] = yield* statements(url, `SELECT migration_id FROM ${schema}.caravel_migrations ORDER BY 1`)
      expect(rows).toEqual(rows!.map((_, index) => ({ migration_id: index + 1 })))
      yield* statements(url, `INSERT INTO ${schema}.caravel_migrations (migration_id, name) VALUES (99, 'future')`)
      expect(yield* refusal(options)).toMatchObject({ reason: "newer" })
    }))
})
