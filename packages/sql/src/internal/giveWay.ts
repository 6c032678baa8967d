import { Effect } from "effect"

/** How long a fiber may keep the event loop, in milliseconds. */
export const longestTurn = 5

/** Goes on after timers and sockets have had their turn; other fibers alone would not let them: they go on in microtasks. */
export const nextTurn = Effect.async<void>((resume) => {
  setImmediate(() => resume(Effect.void))
})

/** For who works without a pause: other fibers get their turn and, if it has been long, the event loop too. */
export const make = Effect.sync(() => {
  let since = performance.now()
  const restart = Effect.sync(() => {
    since = performance.now()
  })
  const immediately = Effect.zipRight(nextTurn, restart)
  return Effect.suspend(() => performance.now() - since < longestTurn ? Effect.yieldNow() : immediately)
})
