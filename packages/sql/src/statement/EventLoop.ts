import { nextTurn } from "@caravel/domain/adapter"
import { Effect } from "effect"

/** The longest time that a fiber runs before it yields to the event loop, in milliseconds. */
export const maxTurnMillis = 5

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
