import { Journal, Position, Query, type StorageError } from "@caravel/domain"
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
    const read = (after: Position, upTo: Position) =>
      query.activity({ after, upTo, limit: pageSize }).pipe(
        Effect.catchTag("ParseError", Effect.die),
        Effect.mapInputContext((_: Context.Context<never>) => context)
      )

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

    let wanted = window.position
    const goOnTrying = FiberHandle.run(background, Effect.retry(Effect.suspend(() => advance(wanted)), untilReadable))

    return {
      advance: (position) =>
        Effect.catchTag(advance(position), "StorageError", (error) => {
          wanted = Position.make(Math.max(wanted, position))
          return Effect.zipRight(
            Effect.logWarning("The journal cannot be read for broadcasting just now; going on trying", error),
            goOnTrying
          )
        }),
      subscribe: (position = window.position) => new Subscription(window, read, position)
    }
  })
)
