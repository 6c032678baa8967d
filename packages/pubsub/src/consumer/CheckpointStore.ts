/** Where durable consumers keep how far they are, who runs them, and what they have put aside. */
import {
  type Activity,
  ActivityFilter,
  type Epoch,
  type Position,
  type ResourceType,
  type StorageError
} from "@caravel/domain"
import { Context, type DateTime, type Effect, type Option, Schema } from "effect"

/**
 * Which activities a consumer is for; all of them if empty.
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
 * How far a consumer is.
 *
 * @since 0.1.0
 * @category models
 */
export interface Checkpoint {
  readonly name: string
  /** Everything up to here is done: handled, parked, or not for this consumer. */
  readonly position: Position
  /** The journal's when it was made or reset: it does not go on in another one by itself. */
  readonly epoch: Epoch
  readonly filter: Filter
  /** How often the activity at `failedPosition` has failed, while it is tried again or the consumer has halted at it. */
  readonly attempts: number
  /** Where it last failed. */
  readonly failedPosition: Position | null
  readonly lastError: string | null
  /** When the position last moved. */
  readonly progressedAt: DateTime.Utc | null
  /** Who runs it; null if nobody does. */
  readonly owner: string | null
  /** How many activities are parked. */
  readonly parked: number
}

/**
 * What there is one lease for, for each consumer: to run it, and to replay what it has parked.
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
 * Who holds a lease, as others see it: as long as they see no change, nothing was renewed.
 *
 * @since 0.1.0
 * @category models
 */
export interface Holding {
  /** Counts the owners. */
  readonly fence: number
  /** Counts the renewals. */
  readonly heartbeat: number
  /** A random name; null once it is released. */
  readonly owner: string | null
}

/**
 * The right to a task until somebody else takes it over, by which the fence is another.
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
 * Somebody else has taken the lease over, and nothing was written. Who meets it stops; `Consumer` then waits for its turn.
 *
 * @since 0.1.0
 * @category errors
 */
export class LeaseLost extends Schema.TaggedError<LeaseLost>("@caravel/pubsub/LeaseLost")("LeaseLost", {
  consumer: Schema.String,
  task: Task
}) {
  override get message() {
    return `Somebody else has taken over to ${this.task} consumer ${this.consumer}; wait for the lease to be free`
  }
}

/**
 * An activity that was put aside.
 *
 * @since 0.1.0
 * @category models
 */
export interface Parked {
  readonly activity: Activity
  /** How often it has failed: 0 if it only waits behind another one of its resource. */
  readonly attempts: number
  readonly error: string | null
  readonly parkedAt: DateTime.Utc
}

/**
 * What an activity is about.
 *
 * @since 0.1.0
 * @category models
 */
export interface Resource {
  readonly resourceType: ResourceType
  readonly resourceId: Activity["resourceId"]
}

/**
 * How much a consumer has before it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Backlog {
  readonly activities: number
  /** When the oldest of them happened. */
  readonly since: DateTime.Utc | null
}

/**
 * How often a replay has been requested of whoever runs a consumer, and how many of these requests are done.
 *
 * @since 0.1.0
 * @category models
 */
export interface Replays {
  readonly requested: number
  readonly done: number
}

type Fenced<A = void> = Effect.Effect<A, StorageError | LeaseLost>

/**
 * The port of durable consumers. What takes a `Lease` writes only while that is held, and renews it by that. A write of
 * several parts is atomic, and joins the transaction that it runs in.
 *
 * @since 0.1.0
 * @category services
 */
export class CheckpointStore extends Context.Tag("@caravel/pubsub/CheckpointStore")<CheckpointStore, {
  /** Makes a consumer that begins after `position`, in the journal's epoch; one that exists stays where it is, and gets the filter. */
  readonly register: (name: string, position: Position, filter: Filter) => Effect.Effect<void, StorageError>
  /** What is committed. */
  readonly find: (name: string) => Effect.Effect<Option.Option<Checkpoint>, StorageError>
  /** All that are committed, by name. */
  readonly list: Effect.Effect<ReadonlyArray<Checkpoint>, StorageError>
  /** What is committed after `position` and passes the filter. */
  readonly backlog: (position: Position, filter: Filter) => Effect.Effect<Backlog, StorageError>

  /** Who holds a lease, as committed; none if there is no such consumer. */
  readonly holding: (name: string, task: Task) => Effect.Effect<Option.Option<Holding>, StorageError>
  /** Takes a lease over if its fence and heartbeat are still as they were seen. */
  readonly acquire: (
    name: string,
    task: Task,
    seen: Holding,
    owner: string
  ) => Effect.Effect<Option.Option<Lease>, StorageError>
  readonly renew: (lease: Lease) => Fenced
  /** Gives the lease back, if it is still held. */
  readonly release: (lease: Lease) => Effect.Effect<void, StorageError>

  /** Moves the checkpoint, if it is where the owner left it, or has moved it to already. */
  readonly move: (lease: Lease, from: Position, to: Position) => Fenced
  /** Records a failure that is not the end of it. */
  readonly fail: (lease: Lease, position: Position, attempts: number, error: string) => Fenced
  /** Puts an activity aside, or records a further failure of one that is. */
  readonly park: (lease: Lease, activity: Activity, attempts: number, error: string) => Fenced
  /** Puts activities aside whose resources have others there; gives those that are free to be handled. */
  readonly parkBehind: (lease: Lease, activities: ReadonlyArray<Activity>) => Fenced<ReadonlyArray<Activity>>
  /** A parked activity has been handled. */
  readonly unpark: (lease: Lease, position: Position) => Fenced

  /** Counts a request to replay what is parked, and gives the count; none if there is no such consumer. */
  readonly requestReplay: (name: string) => Effect.Effect<Option.Option<number>, StorageError>
  /** How many replays have been requested and done, as committed; none if there is no such consumer. */
  readonly replays: (name: string) => Effect.Effect<Option.Option<Replays>, StorageError>
  /** The first so many requested replays are done. */
  readonly replayed: (lease: Lease, count: number) => Fenced

  /** Parked activities after a position, oldest first, at most `limit`. */
  readonly parked: (
    name: string,
    after: Position,
    limit: number
  ) => Effect.Effect<ReadonlyArray<Parked>, StorageError>
  /** Whether an earlier activity of the same resource is parked. */
  readonly isParkedBefore: (name: string, activity: Activity) => Effect.Effect<boolean, StorageError>
  /** The resources that have parked activities. */
  readonly parkedResources: (name: string) => Effect.Effect<ReadonlyArray<Resource>, StorageError>
  /** Removes parked activities, all or those at some positions; gives how many. */
  readonly drop: (name: string, positions?: ReadonlyArray<Position>) => Effect.Effect<number, StorageError>
  /**
   * Moves a consumer, whoever runs it, into the journal's epoch, and removes what it has parked after `position`. False if
   * there is none.
   */
  readonly reset: (name: string, position: Position) => Effect.Effect<boolean, StorageError>

  /** All or nothing; inside another one, all or nothing of this part. */
  readonly transaction: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E | StorageError, R>
  /** Runs an effect as if the fiber were in no transaction. */
  readonly outside: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
}>() {}
