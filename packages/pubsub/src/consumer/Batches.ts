/** The activities that a consumer handles next: a page of the log, or the next activity of a resource. */
import type { Activity, Position, PositionFromOtherEpoch, StorageError } from "@caravel/domain"
import { nextTurn } from "@caravel/domain/adapter"
import { Effect } from "effect"
import { Waiting } from "../runtime/Waiting.js"
import { Batch } from "./Batch.js"
import { ResourcePartitions } from "./ResourcePartitions.js"
import type { Session } from "./Session.js"

/** How long the event loop may be kept busy, in milliseconds, before timers and sockets get their turn. */
const maxTurnMillis = 20

/** Where batches come from. */
export interface Batches {
  /** Waits for the next batch, which is not empty. */
  readonly next: Effect.Effect<Batch, StorageError | PositionFromOtherEpoch>
  /** Extends a batch that is done by the activities that follow, if there are any yet. Returns whether it did. */
  readonly extend: (batch: Batch) => Effect.Effect<boolean, StorageError | PositionFromOtherEpoch>
}

/** The log page by page, in order. */
export const pages = <E, R>({ isBehind, page, progress }: Session<E, R>): Batches => {
  let position: Position = progress.position
  let turnStartedAt: number | undefined

  const yieldToEventLoop = Effect.flatMap(Waiting, (clock) => {
    const now = clock.unsafeCurrentTimeMillis()
    turnStartedAt ??= now
    if (now - turnStartedAt < maxTurnMillis) return Effect.void
    return Effect.map(nextTurn, () => {
      turnStartedAt = clock.unsafeCurrentTimeMillis()
    })
  })

  const read = Effect.zipRight(yieldToEventLoop, Effect.suspend(() => page(position))).pipe(
    Effect.map(({ activities, last }) => {
      position = last
      return activities
    })
  )
  const onDone = ({ position }: Activity) => progress.advance(position)
  const onEnd = () => progress.advance(position)

  const next: Batches["next"] = Effect.flatMap(read, (activities) => {
    if (activities.length > 0) {
      return Effect.succeed(new Batch(activities, { followsCheckpoint: true, onDone, onEnd }))
    }
    onEnd()
    return next
  })

  const extend: Batches["extend"] = (batch) =>
    Effect.flatMap(Effect.suspend(() => isBehind(position)), (isBehind) =>
      isBehind
        ? Effect.flatMap(read, (activities) => {
          if (activities.length === 0) return extend(batch)
          batch.extend(activities)
          return Effect.succeed(true)
        })
        : Effect.succeed(false))

  return { next, extend }
}

/** Batches for several workers, which never handle the same resource at once. `reading` reads ahead for them. */
export const partitions = <E, R>({ blocked, page, progress, settings: { batchSize } }: Session<E, R>): {
  readonly batches: Batches
  readonly reading: Effect.Effect<never, StorageError | PositionFromOtherEpoch>
} => {
  const partitions = new ResourcePartitions(progress.position)

  const read = (after: Position): Effect.Effect<never, StorageError | PositionFromOtherEpoch> =>
    Effect.zipRight(partitions.hasCapacity, page(after)).pipe(
      Effect.flatMap(({ activities, last }) => {
        partitions.add(activities, last)
        if (activities.length === 0) progress.advance(partitions.done)
        return read(last)
      })
    )

  const next = Effect.map(partitions.take, (partition) => {
    const { activity } = partition[0]!
    // Activities that wait behind parked ones are parked in one step.
    const activities = partition.slice(0, blocked.has(activity) ? partition.length : batchSize).map(({ activity }) =>
      activity
    )
    return new Batch(activities, {
      followsCheckpoint: false,
      onDone: () => {
        partitions.completeFirst(partition)
        progress.advance(partitions.done)
      },
      onEnd: () => partitions.release(partition, activity)
    })
  })

  // A batch has the activities of one resource: nothing else is parked with them.
  const extend = () => Effect.succeed(false)

  return { batches: { next, extend }, reading: Effect.suspend(() => read(progress.position)) }
}
