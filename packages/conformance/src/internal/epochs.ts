/** Positions that are not in the journal: of another epoch, or after its head. */
import { type Activity, ActivityFeed, Journal } from "@caravel/domain"
import { Consumer } from "@caravel/pubsub"
import { expect } from "@effect/vitest"
import { Effect, Fiber, type Layer, Option, Stream } from "effect"
import { caughtUp, log, relays } from "./consumer.js"
import { furnished, type Services, specs } from "./fixture.js"

const name = "c"
const other = "00000000-0000-4000-8000-000000000000"

const first = <E, R>(stream: Stream.Stream<Activity, E, R>) =>
  Effect.map(Stream.runHead(stream), (activity) => Option.getOrThrow(activity).position)

export const followedEpochs = <E>(layer: Layer.Layer<Services, E>) => {
  const test = specs(layer)

  test(
    "since fails with PositionFromOtherEpoch for a position of another epoch or after the head",
    Effect.gen(function*() {
      const feed = yield* ActivityFeed
      yield* furnished
      const current = yield* Effect.flatMap(Journal, (journal) => journal.epoch)
      const head = yield* Effect.flatMap(Journal, (journal) => journal.head)
      const refused = (position: number, options?: { readonly epoch?: string }) =>
        Effect.flip(Stream.runDrain(feed.since(position, options)))
      expect(yield* feed.epoch).toBe(current)
      expect(yield* first(feed.since(0, { epoch: current }))).toBe(1)
      // Position 0 is valid in every epoch.
      expect(yield* first(feed.since(0, { epoch: other }))).toBe(1)
      const beyond = { _tag: "PositionFromOtherEpoch", position: head + 1, current, common: head }
      expect(yield* refused(head + 1)).toMatchObject({ ...beyond, epoch: null })
      expect(yield* refused(head + 1, { epoch: current })).toMatchObject({ ...beyond, epoch: current })
      expect(yield* refused(1, { epoch: other })).toMatchObject({ position: 1, epoch: other, current, common: 0 })
      expect(yield* refused(1, { epoch: "yesterday" })).toMatchObject({ _tag: "ParseError" })
    })
  )
}

export const consumedEpochs = <E>(layer: Layer.Layer<Services, E>) => {
  const test = specs(layer)

  test(
    "a position of another epoch or after the head is PositionFromOtherEpoch, and no checkpoint is created or moved",
    Effect.gen(function*() {
      yield* relays(1)
      const journal = yield* Journal
      const head = yield* journal.head
      const epoch = yield* journal.epoch
      const run = (from: number, epoch?: string) => Consumer.run({ name, from, epoch, handle: () => Effect.void })
      const refused = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
        Effect.map(Effect.flip(effect), (error) => expect(error).toMatchObject({ _tag: "PositionFromOtherEpoch" }))
      yield* refused(run(head + 1))
      yield* refused(run(1, other))
      yield* refused(Consumer.awaitPosition(name, head + 1))
      yield* refused(Consumer.awaitPosition(name, 1, { epoch: other }))
      expect(yield* Consumer.list).toEqual([])
      const running = yield* Effect.fork(run(1, epoch))
      yield* Consumer.awaitPosition(name, head, { epoch })
      yield* refused(Consumer.reset(name, head + 1))
      yield* refused(Consumer.reset(name, 1, { epoch: other }))
      expect(yield* Consumer.lag(name)).toMatchObject({ position: head, epoch })
      yield* Fiber.interrupt(running)
      // An existing checkpoint is used, and `from` is ignored.
      yield* Effect.fork(run(head + 1))
      yield* log(["r0"])
      yield* caughtUp()
    })
  )
}
