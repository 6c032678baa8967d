import { type Activity, Position } from "@caravel/domain"
import { Effect } from "effect"
import type { CheckedLog } from "./CheckedLog.js"
import { pageSize, type Part } from "./Subscription.js"
import type { Ended } from "./Window.js"

/**
 * Returns a reader of the activity log for subscriptions that lag. Pages begin at multiples of their size, so
 * subscriptions that lag about as far read and hold the same ones: a thousand that reconnect at once cost one read, and
 * the memory of one. A page is kept for as long as a subscription holds it.
 */
export const makeSharedPages = ({ readPage, window }: CheckedLog) => {
  const pages = new Map<number, WeakRef<ReadonlyArray<Activity>>>()
  const forgotten = new FinalizationRegistry((start: number) => {
    if (pages.get(start)?.deref() === undefined) pages.delete(start)
  })
  const loading = Effect.unsafeMakeSemaphore(1)

  const whole = (start: Position, end: Position): Effect.Effect<Part, Ended> =>
    loading.withPermits(1)(Effect.suspend(() => {
      const known = pages.get(start)?.deref()
      // Once broadcasting has ended, a read fails with the reason.
      if (known !== undefined && window.failure === undefined) return Effect.succeed({ activities: known, upTo: end })
      return Effect.map(readPage(start, end), ({ activities }) => {
        pages.set(start, new WeakRef(activities))
        forgotten.register(activities, start)
        return { activities, upTo: end }
      })
    }))

  return (after: Position, upTo: Position): Effect.Effect<Part, Ended> => {
    const start = Position.make(after - after % pageSize)
    const end = Position.make(start + pageSize)
    return end <= upTo
      ? whole(start, end)
      : Effect.map(readPage(after, upTo), ({ activities }) => ({ activities, upTo }))
  }
}
