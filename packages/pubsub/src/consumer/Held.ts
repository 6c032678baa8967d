import type { StorageError } from "@caravel/domain"
import { Duration, Effect, Fiber, Option, Random } from "effect"
import { Waiting } from "../runtime/Waiting.js"
import { beside } from "./Beside.js"
import { ConsumerNotFound } from "./ConsumerError.js"
import type { ConsumerStore, Lease, LeaseLost, Task } from "./ConsumerStore.js"
import type { Local } from "./Local.js"
import { passes, patiently } from "./Patiently.js"

interface Contest {
  readonly store: typeof ConsumerStore.Service
  readonly local: Local
  readonly name: string
  readonly task: Task
  /** After so long without a sign of life, an owner counts as dead. */
  readonly leaseDuration: Duration.Duration
}

/** A lease that is held, and renewed by a fiber of its own. */
export interface Held {
  readonly lease: Lease
  /** Whether the lease is known to be held: it was renewed within its duration. This process may have been stopped since. */
  readonly isSure: () => boolean
  /** Makes sure of it where it is not known. */
  readonly confirm: Effect.Effect<void, StorageError | LeaseLost>
}

/**
 * Waits for a lease, runs what `use` returns while it is held, and releases it. If the lease is lost, `use` is interrupted.
 * It is renewed until `use` has ended, also while that is being interrupted.
 *
 * Only the process's own monotonic clock counts: a lease is free when it was released, or when its fence and heartbeat have
 * not changed for its whole duration while it was watched. A stale owner is rejected by its fencing token.
 */
export const withLease = <A, E, R>(
  contest: Contest,
  use: (held: Held) => Effect.Effect<A, E, R>
): Effect.Effect<A, E | StorageError | LeaseLost | ConsumerNotFound, R> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.gen(function*() {
      const { local, store } = contest
      const clock = yield* Waiting
      const duration = Duration.unsafeToNanos(contest.leaseDuration)
      let renewedAt = clock.unsafeCurrentTimeNanos()
      const lease = yield* acquire(contest, restore)

      const renew = Effect.suspend(() => {
        const now = clock.unsafeCurrentTimeNanos()
        return Effect.map(patiently(store.leases.renew(lease)), () => {
          renewedAt = now
        })
      })
      const pause = Effect.suspend(() =>
        Effect.raceFirst(
          clock.sleep(Duration.times(contest.leaseDuration, 1 / 3)),
          local.revoked.beyond(local.revoked.count)
        )
      )
      const isSure = () => clock.unsafeCurrentTimeNanos() - renewedAt < duration
      const confirm = Effect.suspend(() => isSure() ? Effect.void : renew)

      const renewing = yield* Effect.forkDaemon(Effect.interruptible(Effect.forever(Effect.zipRight(pause, renew))))
      return yield* restore(beside(use({ lease, isSure, confirm }), Fiber.join(renewing))).pipe(
        Effect.ensuring(Fiber.interrupt(renewing)),
        Effect.ensuring(
          Effect.catchTag(store.leases.release(lease), "StorageError", (error) =>
            // In a database that was restored, nobody holds it.
            error.reason === "replaced"
              ? Effect.void
              : Effect.logWarning(`The lease of consumer ${lease.consumer} cannot be released; it runs out`, error))
        ),
        Effect.ensuring(Effect.sync(local.changed.notify))
      )
    })
  )

/** Interruptible only while it waits: a lease that is taken is known to be. */
const acquire = (
  { leaseDuration, local, name, store, task }: Contest,
  restore: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
) =>
  Effect.gen(function*() {
    const clock = yield* Waiting
    const owner = ((yield* Random.nextInt) >>> 0).toString(36)
    const look = Effect.flatMap(
      restore(patiently(store.leases.holding(name, task))),
      Effect.mapError(() => new ConsumerNotFound({ consumer: name }))
    )
    const duration = Duration.unsafeToNanos(leaseDuration)
    const soon = Duration.min(Duration.times(leaseDuration, 1 / 10), "1 second")
    let seen = yield* look
    let since = clock.unsafeCurrentTimeNanos()
    while (true) {
      const changes = local.changed.count
      const now = clock.unsafeCurrentTimeNanos()
      const holding = yield* look
      if (holding.fence !== seen.fence || holding.heartbeat !== seen.heartbeat) {
        seen = holding
        since = clock.unsafeCurrentTimeNanos()
      } else if (holding.owner === null || now - since >= duration) {
        const later = Effect.as(restore(clock.sleep(soon)), Option.none())
        const lease = yield* Effect.catchIf(store.leases.acquire(name, task, holding, owner), passes, () => later)
        if (Option.isSome(lease)) return lease.value
      } else {
        yield* restore(Effect.raceFirst(local.changed.beyond(changes), clock.sleep(soon)))
      }
    }
  })
