/** Replays: handling parked activities again. */
import { type Activity, Position, type StorageError } from "@caravel/domain"
import { Data, Effect, Exit, identity, LogLevel, Option } from "effect"
import { isTransient } from "../runtime/Waiting.js"
import { Attempts } from "./Attempts.js"
import { BlockedResources } from "./BlockedResources.js"
import type { ConsumerContext } from "./ConsumerContext.js"
import { metricsOf } from "./ConsumerMetrics.js"
import type { ReplaySettings } from "./ConsumerSettings.js"
import { ConsumerSpans } from "./ConsumerSpans.js"
import type { ConsumerStore } from "./ConsumerStore.js"
import { CurrentHandler } from "./CurrentHandler.js"
import { describeCause, logFailure } from "./HandlerFailure.js"
import { type HeldLease, withLease } from "./HeldLease.js"
import type { InFlight } from "./InFlight.js"
import type { Lease, LeaseLost } from "./Leases.js"
import { retryWhileTransient, retryWhileUnavailable } from "./StorageRetry.js"

/** The number of parked activities that are read at a time. */
const pageSize = 64

/** How many parked activities were handled, and how many failed again. The others wait behind failed ones. */
export interface Replayed {
  readonly replayed: number
  readonly failed: number
}

/**
 * Waits for the lease to replay, replays, and runs `then` while the lease is held. Starts again if the lease is lost.
 */
export const replayWithLease = <A, E, R>(
  context: ConsumerContext,
  settings: ReplaySettings<E, R>,
  inFlight: InFlight,
  then: (lease: Lease, replayed: Replayed) => Effect.Effect<A, StorageError | LeaseLost>
) => {
  const { store } = context
  const { leaseDuration, name, transactional } = settings
  const signals = context.signalsOf(name)
  // Nothing else can be written during a transaction of SQLite.
  const handler = Option.some({ signals, task: "replay" as const, canReach: () => !transactional })
  return withLease(
    { store, signals, name, task: "replay", leaseDuration },
    (held) =>
      ConsumerSpans.make(name, context.journal).pipe(
        Effect.flatMap((spans) => replay(store, held, inFlight, settings, spans)),
        Effect.provideService(CurrentHandler, handler),
        Effect.flatMap((replayed) => then(held.lease, replayed))
      )
  ).pipe(
    Effect.retry({ while: (error) => error._tag === "LeaseLost" }),
    Effect.catchTag("LeaseLost", Effect.die)
  )
}

/** Handles parked activities in order, until only those that fail and those that wait behind them are left. */
const replay = <E, R>(
  store: typeof ConsumerStore.Service,
  held: HeldLease,
  inFlight: InFlight,
  settings: ReplaySettings<E, R>,
  spans: ConsumerSpans
): Effect.Effect<Replayed, StorageError | LeaseLost, R> => {
  const { parking } = store
  const { ensureHeld, lease } = held
  const attempts = new Attempts(settings.retry)
  const metrics = metricsOf(lease.consumer)
  const attempt = (settings.transactional ? inTransaction : directly)(store, held, spans.handler(settings.handle))

  const replayOne = (activity: Activity): Effect.Effect<keyof Replayed | "gone", StorageError | LeaseLost, R> =>
    Effect.gen(function*() {
      yield* ensureHeld
      // It may have been dropped, or the consumer reset, since the page was read or while it waited to be retried.
      if (!(yield* isParked(store, lease, activity))) return "gone"
      const exit = yield* inFlight.track(() => activity, attempt(activity))
      if (Exit.isSuccess(exit)) {
        if (!exit.value) return "gone"
        metrics.handled.update(1)
        return "replayed"
      }
      if (inFlight.stopping) return yield* Effect.never
      metrics.failed.update(1)
      const error = describeCause(exit.cause)
      const log = (level: LogLevel.LogLevel, consequence: string) =>
        Effect.suspend(() => logFailure(level, lease.consumer, activity, attempts.count, error, consequence))
      if (yield* attempts.waitToRetry(activity, exit.cause, log(LogLevel.Debug, "tries again"))) {
        metrics.retried.update(1)
        return yield* replayOne(activity)
      }
      yield* retryWhileUnavailable(parking.recordFailure(lease, activity.position, attempts.count, error))
      yield* log(LogLevel.Warning, "leaves it parked")
      return "failed"
    })

  return Effect.gen(function*() {
    const failedResources = new BlockedResources([])
    const count = { replayed: 0, failed: 0 }
    // If the consumer parks an earlier activity of a resource meanwhile, another pass is needed. The second pass that
    // handles nothing is the last, so that the loop ends even in a damaged database.
    for (let idle = 0, overtaken = true; idle === 0 || (overtaken && idle < 2);) {
      idle++
      overtaken = false
      // A transaction of the run may park activities behind one that this replay has unparked since.
      yield* retryWhileUnavailable(parking.settled(lease.consumer))
      for (let after = Position.make(0);;) {
        const page = yield* retryWhileUnavailable(parking.list(lease.consumer, after, pageSize))
        if (page.length === 0) break
        yield* spans.load(page.map(({ activity }) => activity))
        for (const { activity } of page) {
          if (failedResources.has(activity)) continue
          // The first page contains everything that was parked before its last activity, so no earlier activity is
          // missing there.
          if (after > 0 && (yield* retryWhileUnavailable(parking.isParkedBefore(lease.consumer, activity)))) {
            overtaken = true
            continue
          }
          const outcome = yield* replayOne(activity)
          if (outcome === "gone") continue
          count[outcome]++
          if (outcome === "replayed") idle = 0
          else failedResources.add(activity)
        }
        after = page[page.length - 1]!.activity.position
      }
    }
    return count
  })
}

const isParked = ({ parking }: typeof ConsumerStore.Service, { consumer }: Lease, { position }: Activity) =>
  Effect.map(
    retryWhileUnavailable(parking.list(consumer, Position.make(position - 1), 1)),
    ([parked]) => parked?.activity.position === position
  )

/**
 * Handles an activity and, if its handler succeeds, unparks it. Succeeds with whether it did: an activity that is no
 * longer parked has been dropped, or will be handled by the run.
 */
type Attempt = <E, R>(
  store: typeof ConsumerStore.Service,
  held: HeldLease,
  handle: ReplaySettings<E, R>["handle"]
) => (activity: Activity) => Effect.Effect<Exit.Exit<boolean, unknown>, StorageError | LeaseLost, R>

const directly: Attempt = ({ parking }, { lease }, handle) => (activity) =>
  Effect.exit(Effect.suspend(() => handle(activity))).pipe(
    Effect.map(Exit.as(true)),
    Effect.tap((exit) =>
      Exit.isSuccess(exit) ? retryWhileUnavailable(parking.unpark(lease, activity.position)) : Effect.void
    )
  )

/** The activity is no longer parked, so what its handler has written is rolled back. */
class Gone extends Data.TaggedError("Gone") {}

/** Retries storage failures until the handler has started. Later ones count as failures of the handler. */
const inTransaction: Attempt = (store, { inTransaction, lease }, handle) => (activity) => {
  const { leases, parking, transaction } = store
  let handled: Exit.Exit<unknown, unknown> | undefined
  const committed = Effect.suspend(() => {
    handled = undefined
    return inTransaction(transaction(
      leases.renew(lease).pipe(
        Effect.zipRight(Effect.exit(transaction(Effect.suspend(() => handle(activity))))),
        Effect.tap((exit) => {
          handled = exit
          if (Exit.isFailure(exit)) return Effect.void
          return Effect.filterOrFail(parking.unpark(lease, activity.position), identity, () => new Gone())
        })
      )
    ))
  })

  const failed = (error: StorageError): Effect.Effect<Exit.Exit<boolean, unknown>, StorageError | LeaseLost> => {
    if (handled === undefined || !(isTransient(error) || error.reason === "other")) return Effect.fail(error)
    if (Exit.isFailure(handled)) return Effect.succeed(Exit.failCause(handled.cause))
    if (error.reason !== "commitUnknown") return Effect.succeed(Exit.fail(error))
    // Renewing the lease first waits until that transaction has ended.
    return retryWhileUnavailable(leases.renew(lease)).pipe(
      Effect.zipRight(isParked(store, lease, activity)),
      Effect.map((isParked) => isParked ? Exit.fail(error) : Exit.succeed(true))
    )
  }

  return retryWhileTransient(committed, () => handled === undefined).pipe(
    Effect.map((exit): Exit.Exit<boolean, unknown> => Exit.as(exit, true)),
    Effect.catchTags({ Gone: () => Effect.succeed(Exit.succeed(false)), StorageError: failed })
  )
}
