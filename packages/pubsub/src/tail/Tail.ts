import {
  type Activity,
  activityOf,
  type Journal,
  Position,
  type PositionFromOtherEpoch,
  type RecordedEvent,
  type StorageError
} from "@caravel/domain"
import { Context, Effect, Layer } from "effect"
import type { ActivityLog } from "./ActivityLog.js"
import { makeBroadcasting } from "./Broadcasting.js"
import { makeCheckedLog } from "./CheckedLog.js"
import { makeSharedPages } from "./SharedPages.js"
import { Subscription } from "./Subscription.js"
import type { Window } from "./Window.js"

/**
 * Follows the journal and broadcasts committed activities in order. The journal is the source of truth; signals only
 * wake the tail.
 *
 * @since 0.1.0
 * @category services
 */
export class Tail extends Context.Tag("@caravel/pubsub/Tail")<Tail, {
  /**
   * Broadcasts events that have just been committed, oldest first, and everything before them. Returns when that is
   * done. If the journal cannot be read at present, returns and keeps retrying in the background. `preceding` are the
   * activities right before the events, which then need not be read.
   */
  readonly broadcast: (committed: ReadonlyArray<RecordedEvent>, preceding?: Preceding) => Effect.Effect<void>
  /** Broadcasts everything up to the head of the journal. Call it when you do not know what has been committed. */
  readonly advanceToHead: Effect.Effect<void>
  /** The position up to which everything has been broadcast. */
  readonly position: Effect.Effect<Position>
  /**
   * The tail's position and the last activity up to it, if known. Unless the journal is restored, it always contains
   * them.
   */
  readonly seen: () => Seen
  /** Waits until something after `position` has been broadcast. Returns the position of the tail. */
  readonly awaitAfter: (position: Position) => Effect.Effect<Position, StorageError | PositionFromOtherEpoch>
  /**
   * Fails if the journal was restored since the tail started; the error carries `position`. If this succeeds,
   * everything that was read before belongs to the tail's epoch, as a journal never returns to an earlier epoch.
   */
  readonly failIfRestored: (position: Position) => Effect.Effect<void, StorageError | PositionFromOtherEpoch>
  /** Fails with the reason once broadcasting has ended. */
  readonly ended: Effect.Effect<never, StorageError | PositionFromOtherEpoch>
  /**
   * Ends every subscription with an error. The tail does this itself if the journal is restored or loses broadcast
   * events.
   */
  readonly fail: (error: StorageError) => Effect.Effect<void>
  /** Subscribes to every activity after `position`; by default, to those that are broadcast from now on. */
  readonly subscribe: (position?: Position) => Subscription
}>() {}

/**
 * How far a tail has read.
 *
 * @since 0.1.0
 * @category models
 */
export interface Seen {
  readonly position: Position
  readonly last: Activity | undefined
}

/**
 * The activities between a position and events that were committed.
 *
 * @since 0.1.0
 * @category models
 */
export interface Preceding {
  readonly after: Position
  readonly activities: ReadonlyArray<Activity>
}

/**
 * The tail of the journal. It begins at the head.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<Tail, StorageError, Journal | ActivityLog> = Layer.scoped(
  Tail,
  Effect.gen(function*() {
    const log = yield* makeCheckedLog
    const { advanceTo, advanceToHead } = yield* makeBroadcasting(log)
    const { fail, failIfRestored, window } = log
    const pages = makeSharedPages(log)
    return {
      broadcast: (committed, preceding) =>
        Effect.suspend(() => {
          const last = committed.at(-1)
          if (last === undefined || window.failure !== undefined) return Effect.void
          const { position } = window
          const before = last.position - committed.length
          // Without a gap, the events need not be read back, which would cost as much as the rest of the command.
          if (before === position || preceding !== undefined && before > position && position >= preceding.after) {
            const between = preceding?.activities.filter((activity) => activity.position > position) ?? []
            window.advance(between.concat(committed.flatMap((event) => activityOf(event) ?? [])), last.position)
            return Effect.void
          }
          if (last.position > window.position) return advanceTo(last.position)
          // Either another fiber has read and broadcast the event meanwhile, or a different event was broadcast at its
          // position.
          return isBroadcast(window, last) ? Effect.void : advanceToHead
        }),
      advanceToHead,
      position: Effect.sync(() => window.position),
      seen: () => window,
      awaitAfter: (position) => window.awaitAfter(position),
      failIfRestored,
      ended: Effect.zipRight(window.awaitAfter(Position.make(Number.MAX_SAFE_INTEGER)), Effect.never),
      fail,
      subscribe: (position = window.position) => new Subscription(window, pages, position)
    }
  })
)

/** Whether the event that was broadcast at this position is the same one. */
const isBroadcast = (window: Window, event: RecordedEvent): boolean => {
  const before = Position.make(event.position - 1)
  if (!window.covers(before)) return false
  const [known] = window.after(before, 1)
  return known?.position === event.position ? known.id === event.id : activityOf(event) === undefined
}
