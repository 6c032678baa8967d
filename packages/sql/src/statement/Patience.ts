/** How long a command or query waits for a storage that makes no progress, in milliseconds. */
export const longestWait = 5_000

/**
 * A server reports that it has waited `longestWait` for a lock. It has these additional milliseconds to do so, before
 * it counts as not answering.
 */
export const slack = 500

/**
 * A deadline. It is passed down to everything that is done for one command or query, so that nested waits do not add
 * up. It is measured in real, monotonic time, because the storage is outside the program.
 */
export interface Patience {
  /** The milliseconds that are left; zero or less once the deadline has passed. */
  readonly remaining: () => number
}

/**
 * The deadline of a command or query that was requested at `since`, an instant of `performance.now()`; now by default.
 */
export const make = (since = performance.now()): Patience => ({
  remaining: () => since + longestWait - performance.now()
})

/**
 * Calls a function once `remaining`, which is checked again after each wait, is no longer positive. Returns a function
 * that prevents the call. It works outside of fibers, as in the callbacks of a driver.
 */
export const onceExpired = (remaining: () => number, then: () => void): () => void => {
  const check = () => {
    const left = remaining()
    if (left <= 0) return then()
    // @effect-diagnostics-next-line globalTimers:off
    timer = setTimeout(check, left)
  }
  // @effect-diagnostics-next-line globalTimers:off
  let timer = setTimeout(check, Math.max(0, remaining()))
  return () => clearTimeout(timer)
}
