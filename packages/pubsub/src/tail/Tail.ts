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
 * Follows the journal and broadcasts what is committed, in order. The journal is the truth; every signal is a wake-up.
 *
 * @since 0.1.0
 * @category services
 */
export class Tail extends Context.Tag("@caravel/pubsub/Tail")<Tail, {
  /**
   * Broadcasts events that have just been committed, oldest first, and everything before them. Returns when that is
   * done; if the journal cannot be read just now, goes on trying in the background.
   */
  readonly broadcast: (committed: ReadonlyArray<RecordedEvent>) => Effect.Effect<void>
  /** Broadcasts everything up to the head of the journal. Call it when you do not know what has been committed. */
  readonly advanceToHead: Effect.Effect<void>
  /** Everything up to here has been broadcast. */
  readonly position: Effect.Effect<Position>
  /** The position of the tail and the last activity up to it, if known: every later state of the journal contains them. */
  readonly seen: () => Seen
  /** Waits until something after `position` has been broadcast. Returns the position of the tail. */
  readonly awaitAfter: (position: Position) => Effect.Effect<Position, StorageError | PositionFromOtherEpoch>
  /**
   * Fails if the journal was restored since the tail started; the error carries `position`. If this succeeds, everything read before
   * is of the tail's epoch, as a journal never returns to an earlier epoch.
   */
  readonly failIfRestored: (position: Position) => Effect.Effect<void, StorageError | PositionFromOtherEpoch>
  /** Fails with the reason once nothing more is broadcast. */
  readonly ended: Effect.Effect<never, StorageError | PositionFromOtherEpoch>
  /** Ends every subscription with an error. The tail does so itself when the journal is restored or goes back. */
  readonly fail: (error: StorageError) => Effect.Effect<void>
  /** A subscription to every activity after `position`; without one, from now on. */
  readonly subscribe: (position?: Position) => Subscription
}>() {}

/**
 * How far a tail is.
 *
 * @since 0.1.0
 * @category models
 */
export interface Seen {
  readonly position: Position
  readonly last: Activity | undefined
}

/** At the start, this many positions before the head are read: the journal must always contain their activities. */
const recent = 64

/**
 * The tail of the journal, from its head at the start.
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
    // What is broadcast is what is committed: it must not be read through a transaction that the caller is in.
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
        // What is damaged is not what this is about.
        Effect.orElseSucceed(() => new Window(head))
      )
    })

    const fail = (error: StorageError | PositionFromOtherEpoch) =>
      Effect.suspend(() => {
        if (window.failure !== undefined) return Effect.void
        window.fail(error)
        return Effect.logError("Nothing more is broadcast; feeds and consumers fail, and queues are shut down", error)
      })

    /** The journal lacks what has been broadcast, in the same epoch: up to where both are known to be the same. */
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

    /** An activity that is not listed any more, in a journal that goes on after it, is damaged: verify says how. */
    const unlessDamaged = (position: Position, found: Activity | undefined) =>
      Effect.flatMap(
        outside(journal.head),
        (head) => found === undefined && head >= window.position ? Effect.void : goneBack(position)
      )

    /** The same, if moreover the journal still has what was broadcast last. */
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
        // Once nothing more is broadcast, every read fails with the reason.
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
    // An outage is told once, however many wake-ups meet it.
    let isTold = false
    const tellOnce = (message: string) =>
      Effect.suspend(() => {
        if (isTold) return Effect.void
        isTold = true
        return Effect.logWarning(`The journal cannot be read for broadcasting just now; trying again. ${message}`)
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

    /** Whether what a command has committed is what was broadcast there. */
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
            // Where nothing lies between, they need not be read back: that would cost as much as the rest of the command.
            window.advance(committed.flatMap((event) => activityOf(event) ?? []), last.position)
            return Effect.void
          }
          if (last.position > window.position) return orLater(catchUp(last.position))
          // Somebody else has read and broadcast it meanwhile, or else the position was another event's before.
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

/** Whether it is of no use to try again. */
const isFinal = (error: Ended) => error._tag === "PositionFromOtherEpoch" || error.reason === "replaced"
