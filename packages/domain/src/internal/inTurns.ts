import { Clock, Effect, Either } from "effect"

// A global of every runtime that Effect runs on, but not of ECMAScript's own types.
declare const performance: { readonly now: () => number }

/** How long a fiber may keep the event loop, in milliseconds. */
const longestTurn = 5

/** So many are done before the time is looked at. */
const between = 32

/** Timers and sockets get their turn: fibers alone go on in microtasks. In real time, whatever the fiber's clock. */
const nextTurn = Effect.withClock(Effect.sleep(0), Clock.make())

/** Does something for each of many, up to the first that fails, and lets the event loop have its turns meanwhile. */
export const inTurns = <A, B, E>(
  items: ReadonlyArray<A>,
  use: (item: A, index: number) => Either.Either<B, E>
): Effect.Effect<Array<B>, E> =>
  Effect.suspend(() => {
    const results: Array<B> = []
    /** Goes on for one turn; says whether that was all. */
    const go = (): Either.Either<boolean, E> => {
      const started = items.length > between ? performance.now() : 0
      while (results.length < items.length) {
        const result = use(items[results.length]!, results.length)
        if (Either.isLeft(result)) return Either.left(result.left)
        results.push(result.right)
        if (results.length % between === 0 && performance.now() - started > longestTurn) return Either.right(false)
      }
      return Either.right(true)
    }
    const rest = (): Effect.Effect<Array<B>, E> =>
      Effect.flatMap(
        go(),
        (isDone) => isDone ? Effect.succeed(results) : Effect.zipRight(nextTurn, Effect.suspend(rest))
      )
    return rest()
  })
