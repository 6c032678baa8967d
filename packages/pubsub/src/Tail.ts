import {
  activityOf,
  checkEpoch,
  Journal,
  type Position,
  PositionFromOtherEpoch,
  Query,
  type RecordedEvent,
  type StorageError
} from "@caravel/domain"
import { Context, Effect, FiberHandle, Layer, Schema } from "effect"
import { pageSize, Subscription, untilReadable } from "./internal/Subscription.js"
import { Window } from "./internal/Window.js"

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
  /** Broadcasts everything up to the head of the journal, for who does not know what has been committed. */
  readonly advanceToHead: Effect.Effect<void>
  /** Everything up to here has been broadcast. */
  readonly position: Effect.Effect<Position>
  /** Completes once something after `position` has been broadcast, with how far that is. */
  readonly beyond: (position: Position) => Effect.Effect<Position, StorageError | PositionFromOtherEpoch>
  /**
   * Fails with who holds a position if the journal was restored since the tail began. What was read before is of the
   * tail's own epoch if this succeeds after it: a journal never goes back to an earlier epoch.
   */
  readonly unchanged: (position: Position) => Effect.Effect<void, StorageError | PositionFromOtherEpoch>
  /** From now on every subscription fails with this error, as all do by themselves once the journal is restored. */
  readonly fail: (error: StorageError) => Effect.Effect<void>
  /** A subscription to every activity after `position`; without one, from now on. */
  readonly subscribe: (position?: Position) => Subscription
}>() {}

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
    // The layer's own, whoever has it begin.
    const inBackground = yield* FiberHandle.makeRuntime<never>()
    const epoch = yield* journal.epoch
    const window = new Window(yield* journal.head)
    // What is broadcast is what is committed: it must not be read through a transaction that the caller is in.
    const context = yield* Effect.context<never>()
    const outside = <A, E>(effect: Effect.Effect<A, E>) =>
      Effect.mapInputContext(effect, (_: Context.Context<never>) => context)
    const unchanged = (position: Position) => outside(checkEpoch(journal, position, epoch))
    const read = (after: Position, upTo: Position) =>
      Effect.zipLeft(
        outside(Effect.catchTag(query.activity({ after, upTo, limit: pageSize }), "ParseError", Effect.die)),
        unchanged(after)
      )

    const catchUp = (position: Position): Effect.Effect<void, StorageError | PositionFromOtherEpoch> =>
      Effect.suspend(() => {
        const from = window.position
        if (from >= position) return Effect.void
        return Effect.flatMap(read(from, position), (page) => {
          const last = page.length < pageSize ? position : page[page.length - 1]!.position
          // Meanwhile somebody else may have broadcast what was read.
          if (window.position === from) window.advance(page, last)
          return catchUp(position)
        })
      })

    const unlessRestored = <E>(broadcast: Effect.Effect<void, E | PositionFromOtherEpoch>) =>
      Effect.catchIf(broadcast, isFromOtherEpoch, (error) => Effect.sync(() => window.fail(error)))

    const toHead = Effect.suspend(() => unchanged(window.position)).pipe(
      Effect.zipRight(outside(journal.head)),
      Effect.flatMap(catchUp),
      unlessRestored
    )

    const orLater = (broadcast: Effect.Effect<void, StorageError>) =>
      Effect.catchTag(
        broadcast,
        "StorageError",
        (error) =>
          Effect.logWarning("The journal cannot be read for broadcasting just now; going on trying", error).pipe(
            Effect.map(() => void inBackground(Effect.retry(toHead, untilReadable)))
          )
      )

    return {
      broadcast: (committed) =>
        Effect.suspend(() => {
          const last = committed.at(-1)?.position ?? window.position
          if (last !== window.position + committed.length) return orLater(unlessRestored(catchUp(last)))
          // Where nothing lies between, they need not be read back: that would cost as much as the rest of the command.
          window.advance(committed.flatMap((event) => activityOf(event) ?? []), last)
          return Effect.void
        }),
      advanceToHead: orLater(toHead),
      position: Effect.sync(() => window.position),
      beyond: (position) => window.beyond(position),
      unchanged,
      fail: (error) => Effect.sync(() => window.fail(error)),
      subscribe: (position = window.position) => new Subscription(window, read, position)
    }
  })
)

const isFromOtherEpoch = Schema.is(PositionFromOtherEpoch)
