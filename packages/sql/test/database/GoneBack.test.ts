/**
 * A database that is replaced by an older state of itself while it is open. Its epoch is the same, as Caravel did not
 * restore it.
 */
import { ActivityFeed, Command, Journal } from "@caravel/domain"
import { Consumer } from "@caravel/pubsub"
import { SqlClient } from "@effect/sql/SqlClient"
import { describe, expect, it } from "@effect/vitest"
import { Context, Effect, Exit, Fiber, Layer, type Scope, Stream } from "effect"
import { type Endpoint, file, open, schemaOf, using } from "../fixtures/copying.js"
import { olderFile, olderSchema } from "../fixtures/older.js"
import { withPostgres } from "../fixtures/postgres.js"

const pubkey = "a".repeat(64)

const create = (id: string) =>
  Effect.flatMap(Command, (command) => command.createRelay({ id, tenant: pubkey, subdomain: id }))

/** An effect that takes a database back to its state when the effect was made. */
type Older = (database: Endpoint) => Effect.Effect<Effect.Effect<void>, never, Scope.Scope>

const suite = (empty: Effect.Effect<Endpoint, never, Scope.Scope>, older: Older) => {
  const world = Effect.gen(function*() {
    const database = yield* empty
    const context = yield* Layer.build(open(database))
    const run = <A, E>(effect: Effect.Effect<A, E, Command | Consumer.Consumer | SqlClient | Journal | ActivityFeed>) =>
      Effect.provide(effect, context)
    yield* run(Effect.flatMap(Command, (command) => command.createTenant({ pubkey })))
    yield* run(Effect.forEach(["a", "b", "c"], create))
    yield* run(Effect.flatMap(SqlClient, (sql) => sql`CREATE TABLE note (text TEXT)`))
    const goBack = yield* older(database)
    yield* run(Effect.forEach(["d", "e", "f"], create))
    return { database, context, run, goBack }
  })

  const refused = { _tag: "StorageError", reason: "replaced" }

  for (const others of [0, 5]) {
    it.scopedLive(`ends every feed, queue and consumer, when others have then committed ${others}`, () =>
      Effect.gen(function*() {
        const { context, database, goBack, run } = yield* world
        const known = new Set<string>()
        const seen: Array<string> = []
        const handle = ({ id }: { readonly id: string }) => Effect.sync(() => void seen.push(id))
        const feed = Context.get(context, ActivityFeed)
        const queue = yield* Context.get(context, Command).notify.subscribe
        const taker = yield* Effect.fork(queue.take)
        const followers = yield* Effect.forEach(
          [
            Stream.runForEach(feed.live, handle),
            Stream.runForEach(feed.since(0), handle),
            run(Consumer.run({ name: "c", from: "beginning", handle }))
          ],
          (follow) => Effect.fork(Effect.flip(follow))
        )
        yield* run(Consumer.awaitPosition("c", 7))
        for (const id of seen) known.add(id)
        yield* goBack
        if (others > 0) {
          yield* using(database, Effect.forEach(Array.from({ length: others }, (_, n) => `new${n}`), create))
        }
        for (const follower of followers) {
          expect(yield* Fiber.join(follower)).toMatchObject({ _tag: "PositionFromOtherEpoch", common: 4 })
        }
        expect(Exit.isInterrupted(yield* Fiber.await(taker))).toBe(true)
        expect(queue.isActive()).toBe(false)
        expect(seen.filter((id) => !known.has(id))).toEqual([])
        expect(yield* Effect.flip(run(create("x")))).toMatchObject(refused)
        const written = yield* Effect.flip(
          run(Effect.flatMap(SqlClient, (sql) => sql`INSERT INTO note (text) VALUES ('x')`))
        )
        expect(written.cause).toMatchObject(refused)
        expect(yield* using(database, Effect.flatMap(Journal, ({ head }) => head))).toBe(4 + others)
      }))
  }

  it.scopedLive("refuses every command of a program that has it open, in a transaction or not, immediately", () =>
    Effect.gen(function*() {
      const { database, goBack, run } = yield* world
      yield* goBack
      const inTransaction = Effect.flatMap(SqlClient, ({ withTransaction }) => withTransaction(create("x")))
      for (const command of [create("x"), inTransaction]) {
        const error = yield* Effect.flip(run(command))
        expect("reason" in error ? error : error.cause).toMatchObject(refused)
      }
      expect(yield* using(database, Effect.flatMap(Journal, ({ head }) => head))).toBe(4)
    }))
}

describe("SQLite: a file that an older state replaces", () =>
  suite(file, (database) => olderFile((database as { readonly filename: string }).filename)))
withPostgres(
  "PostgreSQL: a journal that goes back",
  (url) => suite(schemaOf(url), (database) => olderSchema(url, (database as { readonly schema: string }).schema))
)
