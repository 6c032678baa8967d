import { type Activity, ActivityFeed, Position, type StorageError } from "@caravel/domain"
import { Chunk, Effect, Layer, Option, Schema, Stream } from "effect"
import { pageSize } from "./internal/Subscription.js"
import { Tail } from "./Tail.js"

const decodePosition = Schema.decode(Position)

/**
 * Streams of the activity log: first from the journal, then live.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<ActivityFeed, never, Tail> = Layer.effect(
  ActivityFeed,
  Effect.map(Tail, (tail) => {
    const stream = (position?: Position): Stream.Stream<Activity, StorageError> =>
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
      since: (position) => Stream.unwrap(Effect.map(decodePosition(position), stream))
    }
  })
)
