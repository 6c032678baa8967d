/** For how long whatever is asked of the storage is waited for while the storage makes no progress, in milliseconds. */
export const longestWait = 5_000

/**
 * A server that has waited for a lock for that long says so. It is given these milliseconds to do so, before it is taken for one
 * that does not answer.
 */
export const slack = 500

/**
 * Until when something is waited for. It is handed down to all that is done for one command or query, so that waiting inside of
 * waiting does not add up. Time is the real, monotonic one: what is waited for is outside of the program.
 */
export interface Patience {
  /** How many milliseconds are left; none or less when it is over. */
  readonly remaining: () => number
}

/** The patience with what was asked for at an instant of `performance.now()`, or now. */
export const make = (since = performance.now()): Patience => ({
  remaining: () => since + longestWait - performance.now()
})
