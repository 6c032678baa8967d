import type { Position, StorageError } from "@caravel/domain"
import { currentInstant } from "@caravel/domain/adapter"
import { DateTime, Effect } from "effect"
import { sleep } from "../runtime/Waiting.js"
import type { Backlog, Filter } from "./Checkpoints.js"
import type { ConsumerContext } from "./ConsumerContext.js"
import type { ConsumerNotFound } from "./ConsumerError.js"
import type { ConsumerMetrics } from "./ConsumerMetrics.js"

const interval = "10 seconds"

/** Counting more positions than this would keep SQLite, and so the event loop, busy for too long. */
const maxCounted = 10_000

/** How long ago the oldest activity of a backlog happened, in seconds. */
export const secondsOf = ({ since }: Backlog): Effect.Effect<number, StorageError> =>
  since === null
    ? Effect.succeed(0)
    : Effect.map(currentInstant, (now) => Math.max(0, DateTime.distance(since, now) / 1000))

/** Keeps the metrics of a consumer's lag up to date. */
export const reportLag = (
  context: ConsumerContext,
  metrics: ConsumerMetrics,
  at: Effect.Effect<{ readonly position: Position; readonly filter: Filter }, StorageError | ConsumerNotFound>
): Effect.Effect<never> =>
  Effect.flatMap(at, ({ filter, position }) => estimate(context, position, filter)).pipe(
    Effect.flatMap((backlog) =>
      Effect.map(secondsOf(backlog), (seconds) => {
        metrics.lagActivities.update(backlog.activities)
        metrics.lagSeconds.update(seconds)
      })
    ),
    // The next report may succeed.
    Effect.catchAll(() => Effect.void),
    Effect.zipRight(sleep(interval)),
    Effect.forever
  )

/** The backlog after a position. Far behind, all positions are counted, whether or not the filter passes them. */
const estimate = ({ query, store, tail }: ConsumerContext, position: Position, filter: Filter) =>
  Effect.flatMap(tail.position, (head): Effect.Effect<Backlog, StorageError> => {
    if (head <= position) return Effect.succeed({ activities: 0, since: null })
    if (head - position <= maxCounted) return store.checkpoints.backlog(position, filter)
    return query.activity({ after: position, limit: 1 }).pipe(
      Effect.catchTag("ParseError", Effect.die),
      Effect.map(([oldest]) => ({ activities: head - position, since: oldest?.createdAt ?? null }))
    )
  })
