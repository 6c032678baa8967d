import type { StorageError } from "@caravel/domain"
import { Duration, Effect, Exit, Fiber, Option, Random } from "effect"
import { withBackground } from "../runtime/Concurrently.js"
import { isTransient, Waiting } from "../runtime/Waiting.js"
import { ConsumerNotFound } from "./ConsumerError.js"
import type { ConsumerStore } from "./ConsumerStore.js"
import type { Lease, LeaseLost, Task } from "./Leases.js"
import type { LocalSignals } from "./LocalSignals.js"
import { retryWhileUnavailable } from "./StorageRetry.js"

/** Which lease to wait for. */
interface LeaseRequest {
  readonly store: typeof ConsumerStore.Service
  readonly signals: LocalSignals
  readonly name: string
  readonly task: Task
  /** An owner that has not renewed the lease for this long has lost it. */
  readonly leaseDuration: Duration.Duration
}

/** A lease that is held, and is renewed in the background. */
export interface HeldLease {
  readonly lease: Lease
  /**
   * Whether the lease was renewed within its duration and cannot have expired. It may expire while the process is
   * suspended.
   */
  readonly isSure: () => boolean
  /** Renews the lease if it may have expired. */
  readonly ensureHeld: Effect.Effect<void, StorageError | LeaseLost>
  /**
   * Runs a transaction that renews the lease. While it is open, no other process can take the lease, and a renewal in the
   * background would only wait for it, on a connection that others need.
   */
  readonly inTransaction: <A, E, R>(transaction: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
}

/**
 * Waits for a lease, runs `use` while the lease is held, and releases it. If the lease is lost, `use` is interrupted.
 * The lease is renewed until `use` has ended, even while `use` is being interrupted.
 *
 * A lease is free if it was released, or if its fence and heartbeat have not changed for its whole duration, measured
 * by this process's monotonic clock. A stale owner is rejected by its fencing token.
 */
export const withLease = <A, E, R>(
  request: LeaseRequest,
  use: (held: HeldLease) => Effect.Effect<A, E, R>
): Effect.Effect<A, E | StorageError | LeaseLost | ConsumerNotFound, R> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.gen(function*() {
      const { leaseDuration, signals, store: { leases } } = request
      const clock = yield* Waiting
      const duration = Duration.unsafeToNanos(leaseDuration)
      let renewedAt = clock.unsafeCurrentTimeNanos()
      const lease = yield* acquire(request, restore)

      const renew = Effect.suspend(() => {
        const now = clock.unsafeCurrentTimeNanos()
        return Effect.map(retryWhileUnavailable(leases.renew(lease)), () => {
          renewedAt = now
        })
      })
      const pause = Effect.suspend(() =>
        Effect.raceFirst(
          clock.sleep(Duration.times(leaseDuration, 1 / 3)),
          signals.revoked.after(signals.revoked.count)
        )
      )
      const isSure = () => clock.unsafeCurrentTimeNanos() - renewedAt < duration
      const ensureHeld = Effect.suspend(() => isSure() ? Effect.void : renew)

      let transactions = 0
      const inTransaction = <A, E, R>(transaction: Effect.Effect<A, E, R>) =>
        Effect.suspend(() => {
          transactions++
          const now = clock.unsafeCurrentTimeNanos()
          return Effect.onExit(transaction, (exit) =>
            Effect.sync(() => {
              transactions--
              if (Exit.isSuccess(exit)) renewedAt = now
            }))
        })
      const renewUnlessInTransaction = Effect.suspend(() => transactions > 0 ? Effect.void : renew)

      const renewing = yield* Effect.forkDaemon(
        Effect.interruptible(Effect.forever(Effect.zipRight(pause, renewUnlessInTransaction)))
      )
      return yield* restore(withBackground(use({ lease, isSure, ensureHeld, inTransaction }), Fiber.join(renewing)))
        .pipe(
          Effect.ensuring(Fiber.interrupt(renewing)),
          Effect.ensuring(
            Effect.catchTag(leases.release(lease), "StorageError", (error) =>
              // A restored database does not have this lease.
              error.reason === "replaced"
                ? Effect.void
                : Effect.logWarning(
                  `The lease of consumer ${lease.consumer} cannot be released; it will expire`,
                  error
                ))
          ),
          Effect.ensuring(Effect.sync(signals.changed.notify))
        )
    })
  )

/** Interruptible only while it waits, so that an acquired lease is always released. */
const acquire = (
  { leaseDuration, name, signals, store: { leases }, task }: LeaseRequest,
  restore: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
) =>
  Effect.gen(function*() {
    const clock = yield* Waiting
    const owner = ((yield* Random.nextInt) >>> 0).toString(36)
    const look = Effect.flatMap(
      restore(retryWhileUnavailable(leases.holding(name, task))),
      Effect.mapError(() => new ConsumerNotFound({ consumer: name }))
    )
    const duration = Duration.unsafeToNanos(leaseDuration)
    const pollInterval = Duration.min(Duration.times(leaseDuration, 1 / 10), "1 second")
    let seen = yield* look
    let since = clock.unsafeCurrentTimeNanos()
    let isTold = task !== "run"
    while (true) {
      const changes = signals.changed.count
      const now = clock.unsafeCurrentTimeNanos()
      const holding = yield* look
      if (holding.fence !== seen.fence || holding.heartbeat !== seen.heartbeat) {
        seen = holding
        since = clock.unsafeCurrentTimeNanos()
      } else if (holding.owner === null || now - since >= duration) {
        const later = Effect.as(restore(clock.sleep(pollInterval)), Option.none())
        const lease = yield* Effect.catchIf(leases.acquire(name, task, holding, owner), isTransient, () => later)
        if (Option.isSome(lease)) return lease.value
      } else {
        if (!isTold) yield* leaseAwaited(name, signals.runs > 1)
        isTold = true
        yield* restore(Effect.raceFirst(signals.changed.after(changes), clock.sleep(pollInterval)))
      }
    }
  })

const leaseAwaited = (consumer: string, isHere: boolean) =>
  Effect.annotateLogs(
    Effect.logInfo(
      `Consumer ${consumer} waits for its lease, which ${
        isHere ? "another run of it in this program holds" : "another process holds, or held when it was killed"
      }`
    ),
    { consumer }
  )
