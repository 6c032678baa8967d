import { Effect } from "effect"

/** How long a fiber may keep the event loop, in milliseconds. */
const longestTurn = 5

/**
 * For who works without a pause: other fibers get their turn and, if it has been long, timers and sockets too. Fibers
 * alone would not let them: they go on in microtasks.
 */
export const make = Effect.sync(() => {
  let since = performance.now()
  const immediately = Effect.async<void>((resume) => {
    setImmediate(() => {
      since = performance.now()
      resume(Effect.void)
    })
  })
  return Effect.suspend(() => performance.now() - since < longestTurn ? Effect.yieldNow() : immediately)
})
