import { Effect } from "effect"

/** The longest time that a fiber runs before it yields to the event loop, in milliseconds. */
export const maxTurnMillis = 5

/**
 * Resumes after timers and sockets have had their turn. Yielding to other fibers is not enough: they resume in
 * microtasks.
 */
export const nextTurn = Effect.async<void>((resume) => {
  setImmediate(() => resume(Effect.void))
})

/** Yields to other fibers and, once work has gone on for `maxTurnMillis`, to the event loop. */
export const make = Effect.sync(() => {
  /** When this was first used in the current turn of the event loop. */
  let since: number | undefined
  const ended = () => {
    since = undefined
  }
  return Effect.suspend(() => {
    if (since === undefined) {
      since = performance.now()
      setImmediate(ended)
    }
    return performance.now() - since < maxTurnMillis ? Effect.yieldNow() : nextTurn
  })
})
