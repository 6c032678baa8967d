/** Which process runs a durable consumer. */
import type { StorageError } from "@caravel/domain"
import { type Effect, type Option, Schema } from "effect"

/**
 * The tasks of a consumer, each with its own lease: to run the consumer, and to replay its parked activities.
 *
 * @since 0.1.0
 * @category models
 */
export const Task = Schema.Literal("run", "replay")

/**
 * @since 0.1.0
 * @category models
 */
export type Task = typeof Task.Type

/**
 * The state of a lease as other processes see it. As long as it does not change, the owner has not renewed the lease.
 *
 * @since 0.1.0
 * @category models
 */
export interface Holding {
  /** Incremented with each new owner: the fencing token. */
  readonly fence: number
  /** Incremented with each renewal. */
  readonly heartbeat: number
  /** A random name; null once the lease is released. */
  readonly owner: string | null
}

/**
 * The right to a task, valid until another process takes the lease over. A takeover changes the fence, so that the
 * stale owner's writes are rejected.
 *
 * @since 0.1.0
 * @category models
 */
export interface Lease {
  readonly consumer: string
  readonly task: Task
  readonly fence: number
}

/**
 * Another process has taken the lease over, and nothing was written. To recover, stop and wait until the lease is free,
 * as `Consumer` does.
 *
 * @since 0.1.0
 * @category errors
 */
export class LeaseLost extends Schema.TaggedError<LeaseLost>("@caravel/pubsub/LeaseLost")("LeaseLost", {
  consumer: Schema.String,
  task: Task
}) {
  override get message() {
    return `Another process has taken over the lease to ${this.task} consumer ${this.consumer}; wait until it is free`
  }
}

/**
 * A write by the holder of a lease. It renews the lease, and fails with `LeaseLost` if the lease is no longer held.
 *
 * @since 0.1.0
 * @category models
 */
export type Fenced<A = void> = Effect.Effect<A, StorageError | LeaseLost>

/**
 * The port of leases.
 *
 * @since 0.1.0
 * @category ports
 */
export interface Leases {
  /** The committed state of a lease; none if there is no such consumer. */
  readonly holding: (name: string, task: Task) => Effect.Effect<Option.Option<Holding>, StorageError>
  /** Takes a lease over if its fence and heartbeat are still those of `seen`. */
  readonly acquire: (
    name: string,
    task: Task,
    seen: Holding,
    owner: string
  ) => Effect.Effect<Option.Option<Lease>, StorageError>
  /** Renews a lease. */
  readonly renew: (lease: Lease) => Fenced
  /** Releases a lease if it is still held. */
  readonly release: (lease: Lease) => Effect.Effect<void, StorageError>
}
