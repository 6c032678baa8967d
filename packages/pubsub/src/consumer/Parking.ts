/** Parked activities of durable consumers, and requests to replay them. */
import type { Activity, Position, ResourceType, StorageError } from "@caravel/domain"
import type { DateTime, Effect, Option } from "effect"
import type { Fenced, Lease } from "./Leases.js"

/**
 * A parked activity.
 *
 * @since 0.1.0
 * @category models
 */
export interface Parked {
  readonly activity: Activity
  /** How often it has failed; 0 if it only waits behind another activity of its resource. */
  readonly attempts: number
  readonly error: string | null
  readonly parkedAt: DateTime.Utc
}

/**
 * An activity that is about to be parked. One without failed attempts waits behind another activity of its resource.
 *
 * @since 0.1.0
 * @category models
 */
export interface ToPark extends Omit<Parked, "parkedAt"> {}

/**
 * The resource of an activity.
 *
 * @since 0.1.0
 * @category models
 */
export interface Resource {
  readonly resourceType: ResourceType
  readonly resourceId: Activity["resourceId"]
}

/**
 * How many replays were requested from the process that runs a consumer, and how many of them are done.
 *
 * @since 0.1.0
 * @category models
 */
export interface Replays {
  readonly requested: number
  readonly done: number
}

/**
 * The port of parked activities.
 *
 * @since 0.1.0
 * @category ports
 */
export interface Parking {
  /**
   * Parks activities. Those that have failed are parked; the failure of one that is parked already is replaced. Those
   * that wait are parked if an activity of their resource is parked, or is to be parked with them. Returns the others,
   * which are free to be handled.
   */
  readonly park: (lease: Lease, activities: ReadonlyArray<ToPark>) => Fenced<ReadonlyArray<Activity>>
  /** Records further failed attempts at a parked activity. */
  readonly recordFailure: (lease: Lease, position: Position, attempts: number, error: string) => Fenced
  /** Deletes a parked activity that has been handled. Returns whether it was parked. */
  readonly unpark: (lease: Lease, position: Position) => Fenced<boolean>
  /**
   * Waits until no transaction of the run is open that may park an activity behind one that is not parked any more. A
   * storage that runs its transactions one after another has none.
   */
  readonly settled: (name: string) => Effect.Effect<void, StorageError>
  /** Returns at most `limit` parked activities after a position, oldest first. */
  readonly list: (name: string, after: Position, limit: number) => Effect.Effect<ReadonlyArray<Parked>, StorageError>
  /** Whether an earlier activity of the same resource is parked. */
  readonly isParkedBefore: (name: string, activity: Activity) => Effect.Effect<boolean, StorageError>
  /** The resources that have parked activities. */
  readonly resources: (name: string) => Effect.Effect<ReadonlyArray<Resource>, StorageError>
  /** Deletes all parked activities, or those at the given positions. Returns how many were deleted. */
  readonly drop: (name: string, positions?: ReadonlyArray<Position>) => Effect.Effect<number, StorageError>

  /** Requests a replay. Returns the number of requests so far; none if there is no such consumer. */
  readonly requestReplay: (name: string) => Effect.Effect<Option.Option<number>, StorageError>
  /** The committed numbers of replays requested and done; none if there is no such consumer. */
  readonly replays: (name: string) => Effect.Effect<Option.Option<Replays>, StorageError>
  /** Marks the first `count` requested replays as done. */
  readonly completeReplays: (lease: Lease, count: number) => Fenced
}
