/** Long work in steps, between which timers and sockets get their turn: fibers alone go on in microtasks. */
import { Clock, Effect, Either } from "effect"

/**
 * Work that may be paused wherever it yields.
 *
 * @since 0.1.0
 * @category models
 */
export type Steps<A> = Generator<void, A, void>

// A global of every runtime that Effect runs on, but not of ECMAScript's own types.
declare const performance: { readonly now: () => number }

/** How long a fiber may keep the event loop, in milliseconds. */
const maxTurnMillis = 5

/** How many of many things are done in a step. */
const stepSize = 64

/** In real time, whatever the fiber's clock. */
const nextTurn = Effect.withClock(Effect.sleep(0), Clock.make())

/**
 * Does the work, and lets the event loop have its turns where it takes long.
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
 * Does the work at once.
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
 * Whether work that has done so many of its things has to pause.
 *
 * @since 0.1.0
 * @category predicates
 */
export const isPauseAt = (done: number): boolean => done > 0 && done % stepSize === 0

/**
 * Does something for each of many, up to the first that fails.
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
