import { type Activity, Position, type StorageError } from "@caravel/domain"
import { Effect, Exit, LogLevel } from "effect"
import { retryWhile } from "../runtime/Waiting.js"
import { untilReadable } from "../tail/Subscription.js"
import { Attempts } from "./Attempts.js"
import { Blocked } from "./Blocked.js"
import type { ConsumerStore, LeaseLost } from "./ConsumerStore.js"
import { describeCause } from "./Describe.js"
import type { Held } from "./Held.js"
import type { InFlight } from "./InFlight.js"
import { logFailure } from "./LogFailure.js"
import { passes, patiently } from "./Patiently.js"
import type { ReplaySettings } from "./Settings.js"

/** How many parked activities are read at a time. */
const pageSize = 64

/** What has become of parked activities; the others wait behind failed ones. */
export interface Replayed {
  readonly replayed: number
  readonly failed: number
}

/** Handles what is parked, in order, until nothing is left but what fails and what waits behind it. */
export const replay = <E, R>(
  store: typeof ConsumerStore.Service,
  { confirm, lease }: Held,
  inFlight: InFlight,
  { handle, retry, transactional }: ReplaySettings<E, R>
): Effect.Effect<Replayed, StorageError | LeaseLost, R> =>
  Effect.gen(function*() {
    const attempts = new Attempts(retry)
    const stopped = new Blocked([])
    let replayed = 0
    let failed = 0

    const handled = (activity: Activity) => Effect.exit(Effect.suspend(() => handle(activity)))
    const unpark = (activity: Activity) => store.parking.unpark(lease, activity.position)

    const directly = (activity: Activity) =>
      Effect.tap(handled(activity), (exit) => Exit.isSuccess(exit) ? patiently(unpark(activity)) : Effect.void)

    /** What the storage fails with before the handler has begun is nobody's failure; afterwards it is the handler's. */
    const inTransaction = (activity: Activity) => {
      let exit: Exit.Exit<unknown, unknown> | undefined
      const committed = Effect.suspend(() => {
        exit = undefined
        return store.transaction(
          store.leases.renew(lease).pipe(
            Effect.zipRight(Effect.exit(store.transaction(Effect.suspend(() => handle(activity))))),
            Effect.tap((handled) => {
              exit = handled
              return Exit.isSuccess(handled) ? unpark(activity) : Effect.void
            })
          )
        )
      })
      return retryWhile((error) => passes(error) && exit === undefined, untilReadable)(committed).pipe(
        Effect.catchIf(
          (error) => error._tag === "StorageError" && exit !== undefined && (passes(error) || error.reason === "other"),
          (error) => Effect.succeed(exit !== undefined && Exit.isFailure(exit) ? exit : Exit.fail(error))
        )
      )
    }
    const attempt: (activity: Activity) => Effect.Effect<Exit.Exit<unknown, unknown>, StorageError | LeaseLost, R> =
      transactional ? inTransaction : directly

    const one = (activity: Activity): Effect.Effect<boolean, StorageError | LeaseLost, R> =>
      Effect.gen(function*() {
        yield* confirm
        const exit = yield* inFlight.track(() => activity, attempt(activity))
        if (Exit.isSuccess(exit)) return true
        if (inFlight.stopping) return yield* Effect.never
        const error = describeCause(exit.cause)
        const log = (level: LogLevel.LogLevel, consequence: string) =>
          Effect.suspend(() => logFailure(level, lease.consumer, activity, attempts.count, error, consequence))
        if (yield* attempts.again(activity, exit.cause, log(LogLevel.Debug, "tries again"))) return yield* one(activity)
        yield* patiently(store.parking.recordFailure(lease, activity.position, attempts.count, error))
        yield* log(LogLevel.Warning, "leaves it parked")
        return false
      })

    // What is parked meanwhile may come before what was read: a pass that finds nothing more to do was the last. So was the
    // second that handles nothing, whatever is in a damaged database.
    for (let idle = 0, overtaken = true; idle === 0 || (overtaken && idle < 2);) {
      idle++
      overtaken = false
      for (let after = Position.make(0);;) {
        const page = yield* patiently(store.parking.list(lease.consumer, after, pageSize))
        if (page.length === 0) break
        for (const { activity } of page) {
          if (stopped.has(activity)) continue
          // On the first page all before it have been seen. Whatever of its resource comes before it was parked before it.
          if (after > 0 && (yield* patiently(store.parking.isParkedBefore(lease.consumer, activity)))) {
            overtaken = true
          } else if (yield* one(activity)) {
            idle = 0
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
