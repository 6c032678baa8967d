/**
 * Long computations in steps that yield to the event loop. Effect resumes fibers in microtasks, which block timers and
 * sockets.
 */
import { Clock, Effect, Either } from "effect"

/**
 * A computation that can be paused at each `yield`.
 *
 * @since 0.1.0
 * @category models
 */
export type Steps<A> = Generator<void, A, void>

// Every runtime that Effect supports has this global, but ECMAScript's own types do not include it.
declare const performance: { readonly now: () => number }

/** The longest time that a fiber may block the event loop, in milliseconds. */
const maxTurnMillis = 5

/** The number of items processed between two pauses. */
const stepSize = 64

// Of the runtimes that Effect supports, browsers lack it.
declare const setImmediate: ((task: () => void) => unknown) | undefined

/**
 * Resumes after timers and sockets have had their turn, whatever the fiber's clock is. Yielding to other fibers is not
 * enough: they resume in microtasks. Nor is a timer in Node: while fibers wait for timers in turn, each has expired when
 * the one before it ends, and nothing else runs.
 *
 * @since 0.1.0
 * @category combinators
 */
export const nextTurn: Effect.Effect<void> = Effect.suspend(() => {
  if (typeof setImmediate === "undefined") return Effect.withClock(Effect.sleep(0), Clock.make())
  const start = setImmediate
  return Effect.async<void>((resume) => {
    start(() => resume(Effect.void))
  })
})

/**
 * Runs the computation, and yields to the event loop whenever it has run for more than 5 ms.
 *
 * @since 0.1.0
 * @category combinators
 */
export const runInTurns = <A, E>(work: Steps<Either.Either<A, E>>): Effect.Effect<A, E> =>
  Effect.suspend((): Effect.Effect<A, E> => {
    const started = performance.now()
    for (;;) {
      const step = work.next()
      if (step.done === true) return step.value
      if (performance.now() - started > maxTurnMillis) return Effect.zipRight(nextTurn, runInTurns(work))
    }
  })

/**
 * Runs the computation without pauses.
 *
 * @since 0.1.0
 * @category combinators
 */
export const runAtOnce = <A>(work: Steps<A>): A => {
  for (;;) {
    const step = work.next()
    if (step.done === true) return step.value
  }
}

/**
 * Whether a computation that has processed `done` items should pause.
 *
 * @since 0.1.0
 * @category predicates
 */
export const isPauseAt = (done: number): boolean => done > 0 && done % stepSize === 0

/**
 * Applies a function to each item, and stops at the first failure.
 *
 * @since 0.1.0
 * @category constructors
 */
export function* mapInSteps<A, B, E>(
  items: ReadonlyArray<A>,
  use: (item: A, index: number) => Either.Either<B, E>
): Steps<Either.Either<Array<B>, E>> {
  const results: Array<B> = []
  for (let index = 0; index < items.length; index++) {
    if (isPauseAt(index)) yield
    const result = use(items[index]!, index)
    if (Either.isLeft(result)) return Either.left(result.left)
    results.push(result.right)
  }
  return Either.right(results)
}
