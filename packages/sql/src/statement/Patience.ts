/** How long a command or query waits for a storage that makes no progress, in milliseconds. */
export const longestWait = 5_000

/**
 * A server that has waited that long for a lock reports it. It has these additional milliseconds to do so, before it counts as
 * not answering.
 */
export const slack = 500

/**
 * A deadline. It is passed down to everything that is done for one command or query, so that nested waits do not add up. It is
 * measured in real, monotonic time, as what is waited for is outside the program.
 */
export interface Patience {
  /** The milliseconds that are left; zero or less once the deadline has passed. */
  readonly remaining: () => number
}

/** The deadline of something that was requested at an instant of `performance.now()`; now by default. */
export const make = (since = performance.now()): Patience => ({
  remaining: () => since + longestWait - performance.now()
})
