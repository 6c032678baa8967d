import { Position } from "@caravel/domain"
import { Effect } from "effect"
import type { CheckedLog } from "./CheckedLog.js"
import { type Page, type Pages, pageSize, type Subscription } from "./Subscription.js"

/**
 * Pages of the activity log for subscriptions that lag. They begin at multiples of their size, so subscriptions that lag
 * about as far read and hold the same ones: a thousand that reconnect at once cost one read, and the memory of one. A
 * page is shared for as long as a subscription holds it.
 */
export const makeSharedPages = ({ readPage, window }: CheckedLog): Pages => {
  const open = new Set<Subscription>()
  const loading = Effect.unsafeMakeSemaphore(1)

  const held = (start: Position): Page | undefined => {
    // Once broadcasting has ended, a read fails with the reason.
    if (window.failure !== undefined) return undefined
    for (const { page } of open) if (page.isWhole && page.start === start) return page
    return undefined
  }

  const load = (start: Position, upTo: Position, isWhole: boolean) =>
    Effect.map(readPage(start, upTo), ({ activities }): Page => ({ activities, start, upTo, isWhole }))

  return {
    open,
    load: (after, upTo, hold) => {
      const start = Position.make(after - after % pageSize)
      const end = Position.make(start + pageSize)
      if (end > upTo) return Effect.map(load(after, upTo, false), hold)
      // The next subscription finds the page that this one holds.
      return loading.withPermits(1)(Effect.suspend(() => {
        const page = held(start)
        return page === undefined ? Effect.map(load(start, end, true), hold) : Effect.sync(() => hold(page))
      }))
    }
  }
}
