import { Journal, Position, PositionFromOtherEpoch } from "@caravel/domain"
import { checkEpoch } from "@caravel/domain/adapter"
import { type Context, Effect } from "effect"
import { ActivityLog, type Page } from "./ActivityLog.js"
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
  const log = yield* ActivityLog
  const epoch = yield* journal.epoch
  const context = yield* Effect.context<never>()
  const window = yield* Effect.flatMap(journal.head, (head) => windowAt(head, log))

  const fail = (error: Ended) =>
    Effect.suspend(() => {
      if (window.failure !== undefined) return Effect.void
      window.fail(error)
      return Effect.logError("Broadcasting has ended; feeds and consumers fail, and queues are shut down", error)
    })

  /** Fails with the reason once broadcasting has ended; the error carries `position`. */
  const failIfEnded = (position: Position): Effect.Effect<void, Ended> =>
    Effect.suspend(() => {
      const { failure } = window
      if (failure === undefined) return Effect.void
      return Effect.fail(
        failure._tag === "PositionFromOtherEpoch" ? new PositionFromOtherEpoch({ ...failure, position }) : failure
      )
    })

  /** Fails if the journal was restored since the start; the error carries `position`. */
  const failIfRestored = (position: Position): Effect.Effect<void, Ended> =>
    failIfEnded(position).pipe(
      Effect.zipRight(
        Effect.mapInputContext(checkEpoch(journal, position, epoch), (_: Context.Context<never>) => context)
      ),
      // Every read is refused from then on, also one that has begun before.
      Effect.tapError(() => failIfEnded(position))
    )

  /** Fails because the journal lacks broadcast activities. The error carries the last common position. */
  const failAsGoneBack = (position: Position): Effect.Effect<never, Ended> =>
    Effect.zipRight(
      failIfRestored(position),
      Effect.flatMap(log.read({ after: window.floor, upTo: window.position }), ({ activities }) => {
        const ids = new Set(activities.map(({ id }) => id))
        const same = window.after(window.floor, Infinity).filter(({ id }) => ids.has(id))
        const common = same[same.length - 1]?.position ?? Position.make(0)
        return Effect.fail(new PositionFromOtherEpoch({ position, epoch, current: epoch, common }))
      })
    )

  /** Reads a page of activities. Fails unless the journal still contains what was broadcast. */
  const readPage = (after: Position, upTo?: Position): Effect.Effect<Page, Ended> =>
    Effect.suspend(() => {
      const { last, position } = window
      return Effect.flatMap(log.read({ after, upTo, limit: pageSize }, last?.position), (page) => {
        const isSame = page.epoch === epoch && page.head >= position
        // If the last activity is missing but the journal continues after it, the log is damaged, which verify reports.
        return isSame && (page.known === undefined || page.known === last?.id)
          ? Effect.succeed(page)
          : failAsGoneBack(after)
      })
    }).pipe(
      Effect.tapErrorTag("PositionFromOtherEpoch", fail),
      Effect.tapError(() => failIfEnded(after))
    )

  return { window, fail, failIfRestored, readPage }
})

/** See `makeCheckedLog`. */
export interface CheckedLog extends Effect.Effect.Success<typeof makeCheckedLog> {}

/** A window that begins at the head, with the most recent activities. */
const windowAt = (head: Position, log: typeof ActivityLog.Service) => {
  if (head === 0) return Effect.succeed(new Window(head))
  const floor = Position.make(Math.max(0, head - recent))
  return log.read({ after: floor, upTo: head }).pipe(
    Effect.map(({ activities }) => new Window(head, undefined, activities, floor)),
    // A damaged log must not prevent the start; verify reports it.
    Effect.orElseSucceed(() => new Window(head))
  )
}
