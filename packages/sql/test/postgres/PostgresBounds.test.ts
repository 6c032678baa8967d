/** How long a hanging program or process can block others on PostgreSQL, and the effect of a role's own settings. */
import { Command, type StorageError } from "@caravel/domain"
import { Consumer } from "@caravel/pubsub"
import { Postgres } from "@caravel/sql"
import { SqlClient } from "@effect/sql/SqlClient"
import { describe, expect, it } from "@effect/vitest"
import { Context, Deferred, Duration, Effect, Either, Fiber, Layer, Redacted } from "effect"
import * as PostgresBounds from "../../src/postgres/PostgresBounds.js"
import { bundled, spawned } from "../fixtures/child.js"
import { inSchema, raw, statements, temporarySchema, withPostgres } from "../fixtures/postgres.js"

const tenant = "a".repeat(64)

const open = (url: string, options: Partial<Postgres.Options> = {}) =>
  Effect.tap(
    Layer.build(Layer.fresh(Postgres.layer({ url: Redacted.make(url), ...options }))),
    (context) => Effect.ignore(Context.get(context, Command).createTenant({ pubkey: tenant }))
  )

type World = Context.Context<Postgres.Services>

const create = (context: World, id: string) => Context.get(context, Command).createRelay({ id, tenant, subdomain: id })

withPostgres("PostgreSQL: bounds on blocking others", (url) => {
  /**
   * A program that runs a command in a transaction and then `then`, and another program that has to wait for that
   * transaction.
   */
  const held = (options: Partial<Postgres.Options>, then: (sql: SqlClient) => Effect.Effect<unknown, unknown>) =>
    Effect.gen(function*() {
      const schema = yield* temporarySchema(url)
      const [one, others] = [yield* open(url, { schema, ...options }), yield* open(url, { schema })]
      const sql = Context.get(one, SqlClient)
      const holds = yield* Deferred.make<void>()
      const holder = yield* Effect.fork(Effect.exit(sql.withTransaction(
        // @effect-diagnostics-next-line anyUnknownInErrorContext:off
        Effect.zipRight(create(one, "held"), Effect.zipRight(Deferred.succeed(holds, undefined), then(sql)))
      )))
      yield* Deferred.await(holds)
      return { holder, others, sql }
    })

  describe("a caller's transaction after a command", () => {
    it.scopedLive("may be bounded by more than the server's timers can have", () =>
      Effect.gen(function*() {
        const schema = yield* temporarySchema(url)
        for (const [id, holdTimeout] of [["a", "60 days"], ["b", Duration.infinity]] as const) {
          const context = yield* open(url, { schema, holdTimeout })
          yield* Context.get(context, SqlClient).withTransaction(create(context, id))
        }
        expect(PostgresBounds.live(Duration.zero)).toMatchObject({
          begin: expect.stringContaining("idle_in_transaction_session_timeout = '1000'"),
          keepaliveInterval: 200
        })
      }))

    it.scopedLive("that is idle is ended by the server, so that others can continue", () =>
      Effect.gen(function*() {
        const { holder, others } = yield* held({ holdTimeout: "1 second" }, () => Effect.never)
        expect((yield* create(others, "a")).position).toBe(2)
        yield* Fiber.interrupt(holder)
      }), 20_000)

    it.scopedLive(
      "whose statement takes too long is ended by the server, and the caller gets an error",
      () =>
        Effect.gen(function*() {
          const { holder, others } = yield* held({ holdTimeout: "1 second" }, (sql) => sql`SELECT pg_sleep(60)`)
          expect((yield* create(others, "a")).position).toBe(2)
          expect(String(yield* Fiber.join(holder))).toContain("57014")
        }),
      20_000
    )

    it.scopedLive("has ten seconds by default, the time of the option, or a role's stricter bound", () =>
      Effect.gen(function*() {
        const bounds = (options: Partial<Postgres.Options>, before: string) =>
          Effect.gen(function*() {
            const context = yield* open(url, { schema: yield* temporarySchema(url), ...options })
            const sql = Context.get(context, SqlClient)
            return yield* sql.withTransaction(Effect.gen(function*() {
              yield* sql.unsafe(before)
              yield* create(context, "a")
              const [row] = yield* sql`SELECT current_setting('idle_in_transaction_session_timeout') AS idle,
                current_setting('statement_timeout') AS statement`
              return [row!["idle"], row!["statement"]]
            }))
          })
        expect(yield* bounds({}, "SELECT 1")).toEqual(["10s", "10s"])
        expect(yield* bounds({}, "SET LOCAL statement_timeout = '2s'")).toEqual(["10s", "2s"])
        expect(yield* bounds({ holdTimeout: "1 minute" }, "SELECT 1")).toEqual(["1min", "1min"])
        expect(yield* bounds({ holdTimeout: Infinity }, "SELECT 1")).toEqual(["0", "0"])
      }))
  })

  describe("a role's statement_timeout", () => {
    it.scopedLive("does not shorten the wait for the append lock", () =>
      Effect.gen(function*() {
        const schema = yield* temporarySchema(url)
        const context = yield* open(inSchema(url, schema, "-c statement_timeout=300"))
        const other = yield* raw(inSchema(url, schema))
        yield* Effect.promise(() =>
          other.query("BEGIN; SELECT pg_advisory_xact_lock('caravel_event'::regclass::oid::int, 0)")
        )
        const sent = yield* Effect.fork(Effect.either(create(context, "a")))
        yield* statements(url, "SELECT pg_sleep(1.5)")
        yield* Effect.promise(() => other.query("ROLLBACK"))
        expect(Either.getOrThrow(yield* Fiber.join(sent)).position).toBe(2)
      }))

    it.scopedLive("does not end a migration that waits for another", () =>
      Effect.gen(function*() {
        const schema = yield* temporarySchema(url)
        const other = yield* raw(inSchema(url, schema))
        yield* Effect.promise(() => other.query(`SELECT pg_advisory_lock(hashtext('caravel'), hashtext('${schema}'))`))
        const opening = yield* Effect.fork(Effect.either(open(inSchema(url, schema, "-c statement_timeout=300"))))
        // An opening that fails is tried again for five seconds.
        yield* statements(url, "SELECT pg_sleep(6)")
        yield* Effect.promise(() => other.query("SELECT pg_advisory_unlock_all()"))
        expect(Either.isRight(yield* Fiber.join(opening))).toBe(true)
      }))

    it.scopedLive("does not apply to Caravel's own transactions", () =>
      Effect.gen(function*() {
        const schema = yield* temporarySchema(url)
        const context = yield* open(inSchema(url, schema, "-c statement_timeout=300"))
        yield* statements(
          inSchema(url, schema),
          "CREATE TABLE seen (statement TEXT, idle TEXT)",
          `CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            INSERT INTO seen VALUES (current_setting('statement_timeout'), current_setting('idle_in_transaction_session_timeout'));
            RETURN NEW; END $$`,
          "CREATE TRIGGER look BEFORE INSERT ON caravel_event FOR EACH ROW EXECUTE FUNCTION look()"
        )
        yield* create(context, "a")
        expect(yield* statements(inSchema(url, schema), "SELECT * FROM seen")).toEqual([[{
          statement: "10s",
          idle: "4s"
        }]])
      }))

    it.scopedLive("that ends a waiting statement in a caller's transaction is reported as busy", () =>
      Effect.gen(function*() {
        const schema = yield* temporarySchema(url)
        const context = yield* open(inSchema(url, schema, "-c statement_timeout=300"))
        const other = yield* raw(inSchema(url, schema))
        yield* Effect.promise(() =>
          other.query("BEGIN; SELECT pg_advisory_xact_lock('caravel_event'::regclass::oid::int, 0)")
        )
        const error = yield* Effect.flip(Context.get(context, SqlClient).withTransaction(create(context, "a")))
        expect(error).toMatchObject({ _tag: "StorageError", reason: "busy" })
      }))
  })

  it.scopedLive(
    "a process that hangs in a transactional handler loses its lease, and a slow one keeps it",
    () =>
      Effect.gen(function*() {
        const schema = yield* temporarySchema(url)
        const own = inSchema(url, schema)
        const context = yield* open(own)
        const child = yield* spawned(yield* bundled("./hanging.ts"), [own])
        yield* child.writes(1)
        const seen: Array<number> = []
        const takingOver = yield* Effect.fork(Effect.provide(
          Consumer.run({
            name: "hanging",
            from: "beginning",
            transactional: true,
            leaseDuration: "1 second",
            handle: ({ position }) => Effect.sync(() => seen.push(position))
          }),
          context
        ))
        // Longer than the server allows a transaction to be idle.
        yield* statements(url, "SELECT pg_sleep(4)")
        expect(seen).toEqual([])
        const lasting = `SELECT count(*)::int AS transactions FROM pg_stat_activity WHERE application_name = '${schema}'
          AND state = 'idle in transaction' AND xact_start < now() - interval '3 seconds'`
        expect(yield* statements(url, lasting)).toEqual([[{ transactions: 1 }]])
        yield* child.kill("SIGSTOP")
        yield* Effect.provide(Consumer.awaitPosition("hanging", 1), context)
        expect(seen).toEqual([1])
        // A reset is not blocked either.
        yield* Fiber.interrupt(takingOver)
        yield* Effect.provide(Consumer.reset("hanging", 0), context)
      }),
    60_000
  )

  it.scopedLive(
    "a server that is read-only for a moment accepts writes again afterwards, and consumers continue",
    () =>
      Effect.gen(function*() {
        const schema = yield* temporarySchema(url)
        const role = `role_${schema}`
        const own = new URL(url)
        own.username = role
        yield* Effect.acquireRelease(
          statements(url, `CREATE ROLE ${role} LOGIN SUPERUSER`),
          () => statements(url, `DROP OWNED BY ${role}; DROP ROLE ${role}`)
        )
        const context = yield* open(inSchema(own.href, schema))
        const failOver = (setting: string) =>
          statements(
            url,
            `ALTER ROLE ${role} ${setting}`,
            `SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE usename = '${role}'`
          )
        const consuming = yield* Effect.fork(Effect.provide(
          Consumer.run({ name: "c", from: "beginning", leaseDuration: "1 second", handle: () => Effect.void }),
          context
        ))
        yield* Effect.provide(Consumer.awaitPosition("c", 1), context)
        yield* failOver("SET default_transaction_read_only = on")
        const error = yield* Effect.flip(create(context, "a"))
        expect(error).toMatchObject({ _tag: "StorageError", reason: "readonly" })
        // @effect-diagnostics-next-line unsafeEffectTypeAssertion:off
        expect((error as StorageError).message).not.toContain("file")
        // Open connections keep the settings with which they were opened.
        const sent = yield* Effect.fork(create(context, "b"))
        yield* statements(url, `ALTER ROLE ${role} RESET ALL`)
        expect((yield* Fiber.join(sent)).position).toBe(2)
        yield* Effect.provide(Consumer.awaitPosition("c", 2), context)
        yield* Fiber.interrupt(consuming)
      }),
    30_000
  )
})
