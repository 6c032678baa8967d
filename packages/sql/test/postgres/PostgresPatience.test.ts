/**
 * How long a caller waits for a PostgreSQL server that makes no progress: five seconds, whatever it waits for and
 * behind which others.
 */
import { Command, Query, StorageError } from "@caravel/domain"
import { Postgres } from "@caravel/sql"
import { SqlClient } from "@effect/sql/SqlClient"
import { SqlError } from "@effect/sql/SqlError"
import { describe, expect, it } from "@effect/vitest"
import { Context, Deferred, Effect, Fiber, Layer, Redacted, type Scope } from "effect"
import { inSchema, layerTemporary, raw, statements, temporarySchema, withPostgres } from "../fixtures/postgres.js"
import { ownServer } from "../fixtures/postgresServer.js"
import { proxied } from "../fixtures/proxy.js"

const tenant = "a".repeat(64)

/** The number of waiting commands: more than one batch. */
const callers = 600

const open = (url: string, options: Partial<Postgres.Options> = {}) =>
  Effect.tap(
    Layer.build(Layer.fresh(Postgres.layer({ url: Redacted.make(url), ...options }))),
    (context) => Effect.ignore(Context.get(context, Command).createTenant({ pubkey: tenant }))
  )

type World = Context.Context<Postgres.Services>

const create = (context: World, id: string) => Context.get(context, Command).createRelay({ id, tenant, subdomain: id })

/** The results of all kinds of callers, and after how many seconds they got them. */
const told = (context: World, pause: (seconds: number) => Effect.Effect<unknown>) => {
  const timed = <E>(what: string, effect: Effect.Effect<unknown, E>) =>
    Effect.suspend(() => {
      const started = performance.now()
      return Effect.map(Effect.either(effect), (answer) => {
        const error = answer._tag === "Left" ? answer.left : undefined
        const cause = error instanceof SqlError ? error.cause : error
        return {
          what,
          reason: error === undefined ? "none" : cause instanceof StorageError ? cause.reason : "the driver's",
          seconds: (performance.now() - started) / 1000
        }
      })
    })
  const sql = Context.get(context, SqlClient)
  const all = [
    ...Array.from({ length: callers }, (_, n) => timed("a command", create(context, `r${n}`))),
    ...Array.from({ length: 40 }, () => timed("a query", Context.get(context, Query).tenants)),
    timed("a transaction", sql.withTransaction(create(context, "t"))),
    // Commands that come later wait equally long, not until those before them have failed.
    Effect.zipRight(pause(2), timed("a later command", create(context, "later")))
  ]
  return Effect.all(all, { concurrency: "unbounded" })
}

const inTheWrongTime = (answers: Effect.Effect.Success<ReturnType<typeof told>>) =>
  answers.filter(({ seconds, what }) => what !== "a transaction" && seconds < 4.5 || seconds > 8)

withPostgres("PostgreSQL, while it makes no progress", (url) => {
  /** Waits on a server that works. */
  const pause = (seconds: number) => statements(url, `SELECT pg_sleep(${seconds})`)
  const outages: ReadonlyArray<
    readonly [
      string,
      Effect.Effect<
        { readonly url: string; readonly begin: Effect.Effect<unknown, never, Scope.Scope> },
        never,
        Scope.Scope
      >
    ]
  > = [
    ["hangs", Effect.map(ownServer(), (server) => ({ url: server.url, begin: server.hang }))],
    ["is stopped", Effect.map(ownServer(), (server) => ({ url: server.url, begin: server.stop }))],
    [
      "is behind a link that swallows everything",
      Effect.gen(function*() {
        const link = yield* proxied(inSchema(url, yield* temporarySchema(url)))
        return { url: link.url, begin: Effect.acquireRelease(link.cut, () => link.heal) }
      })
    ]
  ]
  it.scopedLive.each(outages)(
    "all callers wait at most five seconds, concurrently, for a server that %s",
    ([, outage]) =>
      Effect.gen(function*() {
        const { begin, url } = yield* outage
        const context = yield* open(url)
        const answers = yield* Effect.scoped(Effect.zipRight(begin, told(context, pause)))
        expect(new Set(answers.map(({ reason }) => reason))).toEqual(new Set(["unavailable", "the driver's"]))
        expect(inTheWrongTime(answers)).toEqual([])
      }),
    60_000
  )

  it.scopedLive("commands succeed once the server is back", () =>
    Effect.gen(function*() {
      const server = yield* ownServer()
      const context = yield* open(server.url)
      expect((yield* create(context, "a")).position).toBe(2)
      yield* Effect.scoped(Effect.zipRight(server.hang, Effect.flip(create(context, "b"))))
      expect((yield* create(context, "b")).position).toBe(3)
      yield* server.stop
      const sent = yield* Effect.fork(create(context, "c"))
      yield* server.start
      expect((yield* Fiber.join(sent)).position).toBe(4)
    }), 60_000)

  it.scopedLive(
    "all callers wait at most five seconds, concurrently, for a lock that another transaction holds",
    () =>
      Effect.gen(function*() {
        const schema = yield* temporarySchema(url)
        const context = yield* open(url, { schema })
        const other = yield* raw(inSchema(url, schema))
        yield* Effect.promise(() =>
          other.query("BEGIN; SELECT pg_advisory_xact_lock('caravel_event'::regclass::oid::int, 0)")
        )
        const answers = (yield* told(context, pause)).filter(({ what }) => what !== "a query")
        expect(new Set(answers.map(({ reason }) => reason))).toEqual(new Set(["busy"]))
        expect(inTheWrongTime(answers)).toEqual([])
      }),
    60_000
  )

  it.scopedLive("waiting behind others that succeed never fails, however long it takes", () =>
    Effect.gen(function*() {
      const schema = yield* temporarySchema(url)
      const [context, others] = [yield* open(url, { schema }), yield* open(url, { schema })]
      const sql = Context.get(others, SqlClient)
      const hold = (id: string) =>
        Effect.gen(function*() {
          const holds = yield* Deferred.make<void>()
          const running = yield* Effect.fork(sql.withTransaction(
            Effect.zipRight(
              create(others, id),
              Effect.zipRight(Deferred.succeed(holds, undefined), sql`SELECT pg_sleep(4)`)
            )
          ))
          return { running, holds: Deferred.await(holds) }
        })
      const first = yield* hold("a")
      yield* first.holds
      const second = yield* hold("b")
      const waiting = yield* raw(url)
      // The other transaction is ahead in the server's queue.
      while (
        (yield* Effect.promise(() =>
          waiting.query("SELECT 1 FROM pg_stat_activity WHERE application_name = 'caravel' AND wait_event = 'advisory'")
        )).rows.length === 0
      ) { /* It has not asked for the lock yet. */ }
      expect((yield* create(context, "c")).position).toBe(4)
      yield* Fiber.joinAll([first.running, second.running])
    }), 60_000)

  describe("a pool", () => {
    it.scopedLive("whose connections are all in use fails with that reason", () =>
      Effect.gen(function*() {
        const sql = yield* SqlClient
        const holds = yield* Deferred.make<void>()
        const holder = yield* Effect.fork(
          sql.withTransaction(Effect.zipRight(Deferred.succeed(holds, undefined), Effect.never))
        )
        yield* Deferred.await(holds)
        const error = yield* Effect.flip(sql`SELECT 1`)
        expect(error.cause).toMatchObject({
          _tag: "PoolExhausted",
          message: "all 1 connections of the pool are in use"
        })
        yield* Fiber.interrupt(holder)
      }).pipe(Effect.provide(layerTemporary(url, { maxConnections: 1 }))), 20_000)

    it.scopedLive(
      "whose connections are returned is waited for, however long it takes",
      () =>
        Effect.gen(function*() {
          const sql = yield* SqlClient
          const answers = yield* Effect.all(Array.from({ length: 7 }, () => sql`SELECT pg_sleep(1)`), {
            concurrency: "unbounded"
          })
          expect(answers.length).toBe(7)
        }).pipe(Effect.provide(layerTemporary(url, { maxConnections: 1 }))),
      30_000
    )
  })
})
