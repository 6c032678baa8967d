import { Effect } from "effect"

/**
 * Runs an effect for each item, in order. `Effect.forEach` would look up the fiber's settings first: 1 µs for each
 * command.
 */
export const each = <A, E, R>(
  items: Iterable<A>,
  use: (item: A) => Effect.Effect<unknown, E, R>
): Effect.Effect<void, E, R> =>
  Effect.suspend(() => {
    const iterator = items[Symbol.iterator]()
    let next = iterator.next()
    return Effect.whileLoop({
      while: () => next.done !== true,
      body: () => use(next.value as A),
      step: () => {
        next = iterator.next()
      }
    })
  })
