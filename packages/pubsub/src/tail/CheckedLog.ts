import { type Activity, Journal, Position, PositionFromOtherEpoch, Query, type StorageError } from "@caravel/domain"
import { checkEpoch } from "@caravel/domain/adapter"
import { type Context, Effect } from "effect"
import { pageSize } from "./Subscription.js"
import { type Ended, Window } from "./Window.js"

/**
 * How many positions before the head are read at the start. The tail later checks that the journal still has their
 * activities.
 */
const recent = 64

/**
 * The committed activity log, with checks that it still contains what was broadcast. If it does not, because the
 * journal was restored or has lost events, the window fails: broadcasting has ended.
 */
export const makeCheckedLog = Effect.gen(function*() {
  const journal = yield* Journal
  const query = yield* Query
  const epoch = yield* journal.epoch
  // Only committed activities may be broadcast, so reads must not use a transaction of the caller.
  const context = yield* Effect.context<never>()
  const outside = <A, E>(effect: Effect.Effect<A, E>) =>
    Effect.mapInputContext(effect, (_: Context.Context<never>) => context)
  const head = outside(journal.head)
  const activities = (after: number, upTo: Position, limit?: number) =>
    outside(Effect.catchTag(query.activity({ after, upTo, limit }), "ParseError", Effect.die))
  const window = yield* Effect.flatMap(head, (head) => windowAt(head, activities))

  const fail = (error: Ended) =>
    Effect.suspend(() => {
      if (window.failure !== undefined) return Effect.void
      window.fail(error)
      return Effect.logError("Broadcasting has ended; feeds and consumers fail, and queues are shut down", error)
    })

  /** Fails if the journal was restored since the start; the error carries `position`. */
  const failIfRestored = (position: Position): Effect.Effect<void, Ended> =>
    Effect.suspend(() => {
      const { failure } = window
      if (failure === undefined) return outside(checkEpoch(journal, position, epoch))
      return Effect.fail(
        failure._tag === "PositionFromOtherEpoch" ? new PositionFromOtherEpoch({ ...failure, position }) : failure
      )
    })

  /** Fails because the journal lacks broadcast activities. The error carries the last common position. */
  const failAsGoneBack = (position: Position): Effect.Effect<never, Ended> =>
    Effect.zipRight(
      failIfRestored(position),
      Effect.flatMap(activities(window.floor, window.position), (found) => {
        const ids = new Set(found.map(({ id }) => id))
        const same = window.after(window.floor, Infinity).filter(({ id }) => ids.has(id))
        const common = same[same.length - 1]?.position ?? Position.make(0)
        return Effect.fail(new PositionFromOtherEpoch({ position, epoch, current: epoch, common }))
      })
    )

  /** Fails if the journal lacks the last activity that was broadcast. */
  const failIfGoneBack = (position: Position): Effect.Effect<void, Ended> =>
    Effect.suspend(() => {
      const { last } = window
      if (last === undefined) return Effect.void
      return Effect.flatMap(activities(last.position - 1, last.position, 1), ([found]) =>
        found?.id === last.id
          ? Effect.void
          // If the activity is missing but the journal continues after it, the log is damaged, which verify reports.
          : Effect.zipRight(
            failIfRestored(position),
            Effect.flatMap(
              head,
              (head) => found === undefined && head >= window.position ? Effect.void : failAsGoneBack(position)
            )
          ))
    })

  /** Fails unless the journal still contains what was broadcast. */
  const check = (position: Position) =>
    Effect.zip(failIfRestored(position), failIfGoneBack(position), { concurrent: true })

  return {
    window,
    head,
    fail,
    failIfRestored,
    failAsGoneBack,
    check,
    /** Reads a page of activities. */
    read: (after: Position, upTo: Position): Effect.Effect<ReadonlyArray<Activity>, Ended> =>
      Effect.zipLeft(activities(after, upTo, pageSize), check(after)).pipe(
        Effect.tapErrorTag("PositionFromOtherEpoch", fail),
        // Once broadcasting has ended, every failed read fails with the reason.
        Effect.tapError(() => window.failure === undefined ? Effect.void : failIfRestored(after))
      )
  }
})

/** See `makeCheckedLog`. */
export interface CheckedLog extends Effect.Effect.Success<typeof makeCheckedLog> {}

/** A window that begins at the head, with the most recent activities. */
const windowAt = (
  head: Position,
  activities: (after: number, upTo: Position) => Effect.Effect<ReadonlyArray<Activity>, StorageError>
) => {
  if (head === 0) return Effect.succeed(new Window(head))
  const floor = Position.make(Math.max(0, head - recent))
  return activities(floor, head).pipe(
    Effect.map((activities) => new Window(head, undefined, activities, floor)),
    // A damaged log must not prevent the start; verify reports it.
    Effect.orElseSucceed(() => new Window(head))
  )
}
