/** Checkpoints: the progress of durable consumers. */
import { ActivityFilter, type Epoch, type Position, type StorageError } from "@caravel/domain"
import { type DateTime, type Effect, type Option, Schema } from "effect"
import type { Fenced, Lease } from "./Leases.js"

/**
 * Which activities a consumer handles. An empty filter passes all of them.
 *
 * @since 0.1.0
 * @category models
 */
export const Filter = Schema.Struct({
  tenant: ActivityFilter.fields.tenant,
  activityType: ActivityFilter.fields.activityType,
  resourceId: ActivityFilter.fields.resourceId
})

/**
 * @since 0.1.0
 * @category models
 */
export interface Filter extends Schema.Schema.Type<typeof Filter> {}

/**
 * The progress of a consumer.
 *
 * @since 0.1.0
 * @category models
 */
export interface Checkpoint {
  readonly name: string
  /** Everything up to this position is done: handled, parked, or excluded by the filter. */
  readonly position: Position
  /**
   * The journal's epoch when the checkpoint was registered or reset. The consumer does not continue in another epoch by
   * itself.
   */
  readonly epoch: Epoch
  readonly filter: Filter
  /** How often the activity at `failedPosition` has failed, while it is retried or the consumer has halted at it. */
  readonly attempts: number
  /** The position of the last failure. */
  readonly failedPosition: Position | null
  readonly lastError: string | null
  /** When the position last moved. */
  readonly progressedAt: DateTime.Utc | null
  /** The owner of the lease to run the consumer; null if it is free. */
  readonly owner: string | null
  /** The number of parked activities. */
  readonly parked: number
}

/**
 * What a consumer has yet to handle.
 *
 * @since 0.1.0
 * @category models
 */
export interface Backlog {
  /** The number of activities. */
  readonly activities: number
  /** When the oldest of them happened. */
  readonly since: DateTime.Utc | null
}

/**
 * The port of checkpoints.
 *
 * @since 0.1.0
 * @category ports
 */
export interface Checkpoints {
  /**
   * Registers a consumer that starts after `position`, in the journal's current epoch. A consumer that exists keeps its
   * position and gets the filter.
   */
  readonly register: (name: string, position: Position, filter: Filter) => Effect.Effect<void, StorageError>
  /** The committed checkpoint of a consumer. */
  readonly find: (name: string) => Effect.Effect<Option.Option<Checkpoint>, StorageError>
  /** All committed checkpoints, sorted by name. */
  readonly list: Effect.Effect<ReadonlyArray<Checkpoint>, StorageError>
  /** The committed activities after `position` that pass the filter. */
  readonly backlog: (position: Position, filter: Filter) => Effect.Effect<Backlog, StorageError>
  /** Moves the checkpoint to `to`. Fails with `LeaseLost` unless it is at `from`, or at `to` already. */
  readonly move: (lease: Lease, from: Position, to: Position) => Fenced
  /** Records a failed attempt. The checkpoint stays where it is. */
  readonly recordFailure: (lease: Lease, position: Position, attempts: number, error: string) => Fenced
  /**
   * Moves a consumer to `position` in the journal's current epoch, takes the lease from its owner, and deletes the
   * activities that are parked after `position`. Returns false if there is no such consumer.
   */
  readonly reset: (name: string, position: Position) => Effect.Effect<boolean, StorageError>
}
