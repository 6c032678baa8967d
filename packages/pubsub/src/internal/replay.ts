import { type Activity, Position, type StorageError } from "@caravel/domain"
import { Cause, Effect, Exit, type Schedule } from "effect"
import type { CheckpointStore, LeaseLost } from "../CheckpointStore.js"
import { Attempts, describe } from "./Attempts.js"
import { Blocked } from "./Blocked.js"
import type { Held } from "./Held.js"
import { patiently } from "./patiently.js"

/** How many parked activities are read at a time. */
const pageSize = 64

export interface Replay<E, R> {
  readonly handle: (activity: Activity) => Effect.Effect<unknown, E, R>
  readonly retry: Schedule.Schedule<unknown, Cause.Cause<unknown>, R>
  readonly transactional: boolean
}

/** What has become of parked activities; the others wait behind failed ones. */
export interface Replayed {
  readonly replayed: number
  readonly failed: number
}

/** Handles what is parked, in order, until nothing is left but what fails and what waits behind it. */
export const replay = <E, R>(
  store: typeof CheckpointStore.Service,
  { confirm, lease }: Held,
  { handle, retry, transactional }: Replay<E, R>
): Effect.Effect<Replayed, StorageError | LeaseLost, R> =>
  Effect.gen(function*() {
    const attempts = new Attempts(retry)
    const stopped = new Blocked([])
    let replayed = 0
    let failed = 0

    const handled = (activity: Activity) => Effect.exit(Effect.suspend(() => handle(activity)))
    const unpark = (activity: Activity) => store.unpark(lease, activity.position)
    const attempt = (activity: Activity): Effect.Effect<Exit.Exit<unknown, unknown>, StorageError | LeaseLost, R> =>
      transactional
        ? patiently(store.transaction(
          Effect.zipRight(store.renew(lease), Effect.exit(store.transaction(Effect.suspend(() => handle(activity)))))
            .pipe(
              Effect.tap((exit) => Exit.isSuccess(exit) ? unpark(activity) : Effect.void)
            )
        ))
        : Effect.tap(handled(activity), (exit) => Exit.isSuccess(exit) ? patiently(unpark(activity)) : Effect.void)

    const one = (activity: Activity): Effect.Effect<boolean, StorageError | LeaseLost, R> =>
      Effect.gen(function*() {
        yield* confirm
        const exit = yield* attempt(activity)
        if (Exit.isSuccess(exit)) return true
        if (Cause.isInterruptedOnly(exit.cause)) return yield* Effect.interrupt
        if (yield* attempts.again(activity, exit.cause, Effect.void)) return yield* one(activity)
        yield* patiently(store.fail(lease, activity.position, attempts.count, describe(exit.cause)))
        return false
      })

    // What was parked meanwhile comes after what it waits for: a pass that finds nothing more to do was the last.
    for (let found = true; found;) {
      found = false
      for (let after = Position.make(0);;) {
        const page = yield* patiently(store.parked(lease.consumer, after, pageSize))
        if (page.length === 0) break
        for (const { activity } of page) {
          if (stopped.has(activity)) continue
          if (yield* one(activity)) {
            found = true
            replayed++
          } else {
            stopped.add(activity)
            failed++
          }
        }
        after = page[page.length - 1]!.activity.position
      }
    }
    return { replayed, failed }
  })
