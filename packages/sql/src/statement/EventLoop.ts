import { Effect } from "effect"

/** How long a fiber may keep the event loop, in milliseconds. */
export const longestTurn = 5

/** Goes on after timers and sockets have had their turn; other fibers alone would not let them: they go on in microtasks. */
export const nextTurn = Effect.async<void>((resume) => {
  setImmediate(() => resume(Effect.void))
})

/** For who works without a pause: other fibers get their turn and, if it has been long, the event loop too. */
export const make = Effect.sync(() => {
  /** When this was first used in the turn that the event loop is in. */
  let since: number | undefined
  const ended = () => {
    since = undefined
  }
  return Effect.suspend(() => {
    if (since === undefined) {
      since = performance.now()
      setImmediate(ended)
    }
    return performance.now() - since < longestTurn ? Effect.yieldNow() : nextTurn
  })
})
