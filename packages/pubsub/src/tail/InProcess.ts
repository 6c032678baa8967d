import { type ActivityFeed, ActivityPubSub, type Journal, type Query, type StorageError } from "@caravel/domain"
import { Effect, Layer } from "effect"
import * as ActivityLog from "./ActivityLog.js"
import { ActivityQueue } from "./ActivityQueue.js"
import * as Feed from "./Feed.js"
import * as Tail from "./Tail.js"

/**
 * Broadcasts to the subscribers in this process.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerPubSub: Layer.Layer<ActivityPubSub, never, Tail.Tail> = Layer.effect(
  ActivityPubSub,
  Effect.map(Tail.Tail, (tail) => ({
    subscribe: Effect.acquireRelease(
      Effect.sync(() => new ActivityQueue(tail.subscribe())),
      (queue) => queue.shutdown
    )
  }))
)

/**
 * All of broadcasting, for an adapter with an activity log of its own.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerOverLog: Layer.Layer<
  Tail.Tail | ActivityPubSub | ActivityFeed,
  StorageError,
  Journal | ActivityLog.ActivityLog
> = Layer.provideMerge(Layer.merge(layerPubSub, Feed.layer), Tail.layer)

/**
 * All of broadcasting: the tail of the journal, and the queues and feeds that follow it.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<
  Tail.Tail | ActivityPubSub | ActivityFeed,
  StorageError,
  Journal | Query
> = Layer.provide(layerOverLog, ActivityLog.layer)
