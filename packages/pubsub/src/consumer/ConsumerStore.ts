/** The port through which adapters store the checkpoints, leases and parked activities of durable consumers. */
import type { StorageError } from "@caravel/domain"
import { Context, type Effect } from "effect"
import type { Checkpoints } from "./Checkpoints.js"
import type { Leases } from "./Leases.js"
import type { Parking } from "./Parking.js"

/**
 * Checkpoints.
 *
 * @since 0.1.0
 * @category exports
 */
export * from "./Checkpoints.js"

/**
 * Leases.
 *
 * @since 0.1.0
 * @category exports
 */
export * from "./Leases.js"

/**
 * Parked activities.
 *
 * @since 0.1.0
 * @category exports
 */
export * from "./Parking.js"

/**
 * The storage of durable consumers. A member that takes a `Lease` writes only while the lease is held, and renews it.
 * Every write is atomic and joins the transaction that it runs in.
 *
 * @since 0.1.0
 * @category services
 */
export class ConsumerStore extends Context.Tag("@caravel/pubsub/ConsumerStore")<ConsumerStore, {
  /** The progress of consumers. */
  readonly checkpoints: Checkpoints
  /** Which processes run consumers. */
  readonly leases: Leases
  /** The activities that consumers have parked. */
  readonly parking: Parking
  /**
   * Runs an effect in a transaction or, inside another transaction, in a savepoint. If the effect fails, its writes are
   * rolled back.
   */
  readonly transaction: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E | StorageError, R>
  /** Runs an effect outside the transaction that the fiber is in. */
  readonly outside: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
}>() {}
