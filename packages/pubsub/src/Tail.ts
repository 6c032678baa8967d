import { Journal, type Position, Query, type StorageError } from "@caravel/domain"
import { Context, Effect, FiberHandle, Layer } from "effect"
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
   * Broadcasts everything up to `position`, which must be committed. Returns when that is done; if the journal cannot
   * be read just now, goes on trying in the background.
   */
  readonly advance: (position: Position) => Effect.Effect<void>
  /** `advance` to the head of the journal, for who does not know what has been committed. */
  readonly advanceToHead: Effect.Effect<void>
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
    const background = yield* FiberHandle.make()
    const lock = yield* Effect.makeSemaphore(1)
    const window = new Window(yield* journal.head)
    // What is broadcast is what is committed: it must not be read through a transaction that the caller is in.
    const context = yield* Effect.context<never>()
    const outside = <A, E>(effect: Effect.Effect<A, E>) =>
      Effect.mapInputContext(effect, (_: Context.Context<never>) => context)
    const read = (after: Position, upTo: Position) =>
      outside(Effect.catchTag(query.activity({ after, upTo, limit: pageSize }), "ParseError", Effect.die))

    const catchUp = (position: Position): Effect.Effect<void, StorageError> =>
      Effect.suspend(() => {
        if (window.position >= position) return Effect.void
        return Effect.flatMap(read(window.position, position), (page) => {
          const last = page.length < pageSize ? position : page[page.length - 1]!.position
          window.advance(page, last)
          return catchUp(position)
        })
      })

    const advance = (position: Position) => lock.withPermits(1)(catchUp(position))

    const toHead = Effect.flatMap(outside(journal.head), advance)

    const orLater = (broadcast: Effect.Effect<void, StorageError>) =>
      Effect.catchTag(
        broadcast,
        "StorageError",
        (error) =>
          Effect.logWarning("The journal cannot be read for broadcasting just now; going on trying", error).pipe(
            Effect.zipRight(FiberHandle.run(background, Effect.retry(toHead, untilReadable))),
            Effect.asVoid
          )
      )

    return {
      advance: (position) => orLater(advance(position)),
      advanceToHead: orLater(toHead),
      subscribe: (position = window.position) => new Subscription(window, read, position)
    }
  })
)
