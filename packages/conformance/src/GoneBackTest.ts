/** The contract of a journal that goes back in time while it is open. */
import { ActivityFeed, Command, Journal } from "@caravel/domain"
import { Consumer } from "@caravel/pubsub"
import { describe, expect } from "@effect/vitest"
import { Effect, Exit, Fiber, type Layer, type Scope, Stream } from "effect"
import { alice, type Services, specs } from "./internal/fixture.js"

/**
 * Proves that nothing follows or writes to a journal that has gone back: the database was replaced by an older state
 * without Caravel's restore, so its epoch is the same. `remember` saves the current state, and returns an effect that
 * goes back to it.
 *
 * An adapter whose storage no other program can reach, such as memory, does not need this suite.
 *
 * @since 0.1.0
 * @category suites
 */
export const suite = <R, E>(
  name: string,
  layer: Layer.Layer<Services | R, E>,
  remember: Effect.Effect<Effect.Effect<void>, never, R | Scope.Scope>
): void => {
  const test = specs(layer)

  const create = (id: string) =>
    Effect.flatMap(Command, (command) => command.createRelay({ id, tenant: alice, subdomain: id }))

  describe(`Gone back: ${name}`, () => {
    test(
      "every feed, queue, consumer and wait ends, and no command is accepted",
      Effect.gen(function*() {
        const command = yield* Command
        const feed = yield* ActivityFeed
        const journal = yield* Journal
        yield* command.createTenant({ pubkey: alice })
        yield* create("a")
        const goBack = yield* remember
        yield* create("b")

        const queue = yield* command.notify.subscribe
        const taker = yield* Effect.fork(queue.take)
        const followers = yield* Effect.forEach([
          Stream.runDrain(feed.live),
          Stream.runDrain(feed.since(0)),
          Consumer.run({ name: "c", from: "beginning", handle: () => Effect.void })
        ], (follow) => Effect.fork(Effect.flip(follow)))
        yield* Consumer.awaitPosition("c", 3)
        yield* goBack

        for (const follower of followers) {
          expect(yield* Fiber.join(follower)).toMatchObject({ _tag: "PositionFromOtherEpoch", common: 2 })
        }
        expect(Exit.isInterrupted(yield* Fiber.await(taker))).toBe(true)
        expect(yield* Effect.flip(create("x"))).toMatchObject({ _tag: "StorageError", reason: "replaced" })
        expect(["PositionFromOtherEpoch", "StorageError"]).toContain(
          (yield* Effect.flip(Consumer.awaitPosition("c", 3)))._tag
        )
        // Positions that programs hold are not positions of this journal.
        expect(yield* Effect.flip(journal.head)).toMatchObject({ _tag: "StorageError", reason: "replaced" })
      })
    )
  })
}
