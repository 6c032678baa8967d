import { type Activity, ActivityFeed, Journal, type Position } from "@caravel/domain"
import { checkPosition } from "@caravel/domain/adapter"
import { Chunk, Effect, Layer, Option, Stream } from "effect"
import { pageSize } from "./Subscription.js"
import { Tail } from "./Tail.js"
import type { Ended } from "./Window.js"

/**
 * Streams of the activity log: first from the journal, then live.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<ActivityFeed, never, Tail | Journal> = Layer.effect(
  ActivityFeed,
  Effect.zipWith(Tail, Journal, (tail, journal) => {
    const stream = (position?: Position): Stream.Stream<Activity, Ended> =>
      Stream.fromPull(Effect.map(
        Effect.acquireRelease(
          Effect.sync(() => tail.subscribe(position)),
          (subscription) => Effect.sync(() => subscription.close())
        ),
        (subscription) =>
          subscription.take(1, pageSize).pipe(Effect.map(Chunk.unsafeFromArray), Effect.mapError(Option.some))
      ))

    return {
      live: stream(),
      since: (position, { epoch } = {}) => Stream.unwrap(Effect.map(checkPosition(journal, position, epoch), stream)),
      epoch: journal.epoch
    }
  })
)
