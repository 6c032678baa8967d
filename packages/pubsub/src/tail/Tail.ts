import {
  type Activity,
  activityOf,
  checkEpoch,
  Journal,
  Position,
  PositionFromOtherEpoch,
  Query,
  type RecordedEvent,
  type StorageError
} from "@caravel/domain"
import { Context, Effect, Layer } from "effect"
import * as Background from "../runtime/Background.js"
import * as Backoff from "../runtime/Backoff.js"
import { retryWhile } from "../runtime/Waiting.js"
import { pageSize, Subscription } from "./Subscription.js"
import { type Ended, Window } from "./Window.js"

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
   * done. If the journal cannot be read at present, returns and keeps retrying in the background.
   */
  readonly broadcast: (committed: ReadonlyArray<RecordedEvent>) => Effect.Effect<void>
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
 * How many positions before the head are read at the start. The tail later checks that the journal still has their
 * activities.
 */
const recent = 64

/**
 * The tail of the journal. It begins at the head.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<Tail, StorageError, Journal | Query> = Layer.scoped(
  Tail,
  Effect.gen(function*() {
    const journal = yield* Journal
    const query = yield* Query
    const epoch = yield* journal.epoch
    // Only committed activities may be broadcast, so reads must not use a transaction of the caller.
    const context = yield* Effect.context<never>()
    const outside = <A, E>(effect: Effect.Effect<A, E>) =>
      Effect.mapInputContext(effect, (_: Context.Context<never>) => context)
    const activities = (after: number, upTo: Position, limit?: number) =>
      outside(Effect.catchTag(query.activity({ after, upTo, limit }), "ParseError", Effect.die))
    const window = yield* Effect.flatMap(journal.head, (head) => {
      if (head === 0) return Effect.succeed(new Window(head))
      const floor = Position.make(Math.max(0, head - recent))
      return activities(floor, head).pipe(
        Effect.map((recent) => new Window(head, undefined, recent, floor)),
        // A damaged log must not prevent the start; verify reports it.
        Effect.orElseSucceed(() => new Window(head))
      )
    })

    const fail = (error: StorageError | PositionFromOtherEpoch) =>
      Effect.suspend(() => {
        if (window.failure !== undefined) return Effect.void
        window.fail(error)
        return Effect.logError("Broadcasting has ended; feeds and consumers fail, and queues are shut down", error)
      })

    /**
     * Fails because the journal lacks broadcast activities in the same epoch. The error carries the last common
     * position.
     */
    const goneBack = (position: Position) =>
      Effect.flatMap(activities(window.floor, window.position), (found) => {
        const ids = new Set(found.map(({ id }) => id))
        const same = window.after(window.floor, Infinity).filter(({ id }) => ids.has(id))
        const common = same[same.length - 1]?.position ?? Position.make(0)
        return Effect.fail(new PositionFromOtherEpoch({ position, epoch, current: epoch, common }))
      })

    const failIfRestored = (position: Position): Effect.Effect<void, Ended> =>
      Effect.suspend(() => {
        const { failure } = window
        if (failure === undefined) return outside(checkEpoch(journal, position, epoch))
        return Effect.fail(
          failure._tag === "PositionFromOtherEpoch" ? new PositionFromOtherEpoch({ ...failure, position }) : failure
        )
      })

    /**
     * If an activity is no longer listed but the journal continues after it, the log is damaged, which verify reports.
     */
    const unlessDamaged = (position: Position, found: Activity | undefined) =>
      Effect.flatMap(
        outside(journal.head),
        (head) => found === undefined && head >= window.position ? Effect.void : goneBack(position)
      )

    /** Fails if the journal was restored, or lacks the last activity that was broadcast. */
    const whole = (position: Position) => {
      const { last } = window
      const kept = last === undefined
        ? Effect.void
        : Effect.flatMap(
          activities(last.position - 1, last.position, 1),
          ([found]) =>
            found?.id === last.id
              ? Effect.void
              : Effect.zipRight(failIfRestored(position), unlessDamaged(position, found))
        )
      return Effect.zip(failIfRestored(position), kept, { concurrent: true })
    }

    const read = (after: Position, upTo: Position) =>
      Effect.zipLeft(activities(after, upTo, pageSize), whole(after)).pipe(
        Effect.tapErrorTag("PositionFromOtherEpoch", fail),
        // Once broadcasting has ended, every failed read fails with the reason.
        Effect.tapError(() => window.failure === undefined ? Effect.void : failIfRestored(after))
      )

    const catchUp = (position: Position): Effect.Effect<void, StorageError | PositionFromOtherEpoch> =>
      Effect.suspend(() => {
        const from = window.position
        if (from >= position) return Effect.void
        return Effect.flatMap(read(from, position), (page) => {
          const last = page.length < pageSize ? position : page[page.length - 1]!.position
          // Another fiber may have broadcast these activities meanwhile.
          if (window.position === from) window.advance(page, last)
          return catchUp(position)
        })
      })

    const toHead = Effect.suspend(() => {
      const from = window.position
      return Effect.flatMap(outside(journal.head), (head): Effect.Effect<unknown, Ended> =>
        head > from
          ? catchUp(head)
          : head === from
          ? whole(from)
          : Effect.zipRight(failIfRestored(from), goneBack(from)))
    })

    const unlessEnded = (broadcast: Effect.Effect<unknown, Ended>) =>
      Effect.suspend(() => window.failure === undefined ? broadcast : Effect.void).pipe(
        Effect.asVoid,
        Effect.catchAll((error) => isFinal(error) ? fail(error) : Effect.fail(error))
      )

    const behind = yield* Effect.makeLatch()
    // An outage is logged once, however many wake-ups encounter it.
    let isTold = false
    const tellOnce = (message: string) =>
      Effect.suspend(() => {
        if (isTold) return Effect.void
        isTold = true
        return Effect.logWarning(`The journal cannot be read for broadcasting at present; retrying. ${message}`)
      })
    const tellEnd = Effect.suspend(() => {
      if (!isTold || window.failure !== undefined) return Effect.void
      isTold = false
      return Effect.logInfo("The journal can be read again; everything is broadcast")
    })
    const orLater = (broadcast: Effect.Effect<unknown, Ended>) =>
      Effect.catchAll(unlessEnded(broadcast), ({ message }) => Effect.zipRight(tellOnce(message), behind.open))
    yield* Background.run(
      "Broadcasting",
      Effect.forever(
        Effect.all([
          behind.await,
          behind.close,
          retryWhile(() => true, Backoff.untilAvailable)(unlessEnded(toHead)),
          tellEnd
        ])
      )
    )

    /** Whether the event that was broadcast at this position is the same one. */
    const isKnown = (event: RecordedEvent) => {
      const before = Position.make(event.position - 1)
      if (!window.covers(before)) return false
      const [known] = window.after(before, 1)
      return known?.position === event.position ? known.id === event.id : activityOf(event) === undefined
    }

    return {
      broadcast: (committed) =>
        Effect.suspend(() => {
          const last = committed.at(-1)
          if (last === undefined || window.failure !== undefined) return Effect.void
          if (last.position === window.position + committed.length) {
            // Without a gap, the events need not be read back, which would cost as much as the rest of the command.
            window.advance(committed.flatMap((event) => activityOf(event) ?? []), last.position)
            return Effect.void
          }
          if (last.position > window.position) return orLater(catchUp(last.position))
          // Either another fiber has read and broadcast the event meanwhile, or a different event was broadcast at its
          // position.
          return isKnown(last) ? Effect.void : orLater(toHead)
        }),
      advanceToHead: orLater(toHead),
      position: Effect.sync(() => window.position),
      seen: () => window,
      awaitAfter: (position) => window.awaitAfter(position),
      failIfRestored,
      ended: Effect.zipRight(window.awaitAfter(Position.make(Number.MAX_SAFE_INTEGER)), Effect.never),
      fail,
      subscribe: (position = window.position) => new Subscription(window, read, position)
    }
  })
)

/** Whether retrying cannot help. */
const isFinal = (error: Ended) => error._tag === "PositionFromOtherEpoch" || error.reason === "replaced"
