import type { StorageError } from "@caravel/domain"
import { Clock, Duration, Effect, Option, Random } from "effect"
import type { CheckpointStore, Lease, LeaseLost, Task } from "../CheckpointStore.js"
import { ConsumerNotFound } from "../ConsumerError.js"
import { beside } from "./beside.js"
import type { Local } from "./Local.js"
import { patiently } from "./patiently.js"

interface Contest {
  readonly store: typeof CheckpointStore.Service
  readonly local: Local
  readonly name: string
  readonly task: Task
  /** After so long without a sign of life, an owner counts as dead. */
  readonly leaseDuration: Duration.Duration
}

/** A lease that is held, and renewed by a fiber of its own. */
export interface Held {
  readonly lease: Lease
  /** Makes sure of it where it has not been renewed in time: this process may have stood still. */
  readonly confirm: Effect.Effect<void, StorageError | LeaseLost>
}

/**
 * Waits for a lease, runs what `use` gives while it is held, and gives it back. Where it is lost, `use` is interrupted.
 *
 * Only one's own monotonic clock counts: a lease is free when it was released, or when its fence and heartbeat have not
 * changed for its whole duration while one was looking. Whoever is wrong about that meets the fence.
 */
export const withLease = <A, E, R>(
  contest: Contest,
  use: (held: Held) => Effect.Effect<A, E, R>
): Effect.Effect<A, E | StorageError | LeaseLost | ConsumerNotFound, R> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.gen(function*() {
      const { local, store } = contest
      const clock = yield* Effect.clock
      const duration = Duration.unsafeToNanos(contest.leaseDuration)
      let renewedAt = clock.unsafeCurrentTimeNanos()
      const lease = yield* acquire(contest, restore)

      const renew = Effect.suspend(() => {
        const now = clock.unsafeCurrentTimeNanos()
        return Effect.map(patiently(store.renew(lease)), () => {
          renewedAt = now
        })
      })
      const pause = Effect.suspend(() =>
        Effect.raceFirst(
          Effect.sleep(Duration.times(contest.leaseDuration, 1 / 3)),
          local.revoked.beyond(local.revoked.count)
        )
      )
      const confirm = Effect.suspend(() => clock.unsafeCurrentTimeNanos() - renewedAt < duration ? Effect.void : renew)

      return yield* restore(beside(use({ lease, confirm }), Effect.forever(Effect.zipRight(pause, renew))))
        .pipe(
          Effect.ensuring(
            Effect.catchTag(store.release(lease), "StorageError", (error) =>
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
    const owner = ((yield* Random.nextInt) >>> 0).toString(36)
    const look = Effect.flatMap(
      restore(patiently(store.holding(name, task))),
      Effect.mapError(() => new ConsumerNotFound({ name }))
    )
    const duration = Duration.unsafeToNanos(leaseDuration)
    let seen = yield* look
    let since = yield* Clock.currentTimeNanos
    while (true) {
      const changes = local.changed.count
      const now = yield* Clock.currentTimeNanos
      const holding = yield* look
      if (holding.fence !== seen.fence || holding.heartbeat !== seen.heartbeat) {
        seen = holding
        since = yield* Clock.currentTimeNanos
      } else if (holding.owner === null || now - since >= duration) {
        const lease = yield* patiently(store.acquire(name, task, holding, owner))
        if (Option.isSome(lease)) return lease.value
      } else {
        yield* restore(Effect.raceFirst(
          local.changed.beyond(changes),
          Effect.sleep(Duration.min(Duration.times(leaseDuration, 1 / 10), "1 second"))
        ))
      }
    }
  })
