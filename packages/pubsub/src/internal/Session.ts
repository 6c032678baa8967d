import { type Activity, Position, type PositionFromOtherEpoch, type Query, type StorageError } from "@caravel/domain"
import { Cause, Effect, type Schedule } from "effect"
import type { CheckpointStore, Filter, Lease, LeaseLost } from "../CheckpointStore.js"
import { ConsumerHalted } from "../ConsumerError.js"
import type { Tail } from "../Tail.js"
import { type Attempts, describe } from "./Attempts.js"
import type { Blocked } from "./Blocked.js"
import type { Held } from "./Held.js"
import { patiently } from "./patiently.js"
import type { Progress } from "./Progress.js"
import { pageSize } from "./Subscription.js"

/** How often a checkpoint is written at most, but for who waits for it. */
const throttle = "100 millis"

/** How far a query looks for what passes the filter, so that it never takes long. */
const reach = 4096

export interface Settings<E, R> {
  readonly name: string
  readonly filter: Filter
  readonly handle: (activity: Activity) => Effect.Effect<unknown, E, R>
  readonly retry: Schedule.Schedule<unknown, Cause.Cause<unknown>, R>
  readonly onFailure: "halt" | "park" | "parkResource"
  readonly transactional: boolean
  readonly concurrency: number
}

interface Page {
  readonly activities: ReadonlyArray<Activity>
  /** Up to here, there are no others. */
  readonly last: Position
}

/** What a consumer does while it holds its lease. */
export class Session<E, R> {
  readonly settings: Settings<E, R>
  readonly store: typeof CheckpointStore.Service
  readonly held: Held
  readonly lease: Lease
  readonly progress: Progress
  readonly blocked: Blocked
  /** The checkpoint has one writer at a time. */
  readonly writing = Effect.unsafeMakeSemaphore(1)
  private readonly query: typeof Query.Service
  private readonly tail: typeof Tail.Service

  constructor(options: {
    readonly settings: Settings<E, R>
    readonly store: typeof CheckpointStore.Service
    readonly query: typeof Query.Service
    readonly tail: typeof Tail.Service
    readonly held: Held
    readonly progress: Progress
    readonly blocked: Blocked
  }) {
    this.settings = options.settings
    this.store = options.store
    this.query = options.query
    this.tail = options.tail
    this.held = options.held
    this.lease = options.held.lease
    this.progress = options.progress
    this.blocked = options.blocked
  }

  /** What comes next after a position. Behind or at the head, it is one and the same: what is broadcast can be read. */
  readonly page = (after: Position): Effect.Effect<Page, StorageError | PositionFromOtherEpoch> =>
    Effect.flatMap(this.tail.beyond(after), (head) => {
      const upTo = Position.make(Math.min(head, after + reach))
      const { filter } = this.settings
      return this.query.activity({ ...filter, after, upTo, limit: pageSize }).pipe(
        Effect.catchTag("ParseError", Effect.die),
        Effect.zipLeft(this.tail.unchanged(after)),
        patiently,
        Effect.map((activities) => ({
          activities,
          last: activities.length < pageSize ? upTo : activities[activities.length - 1]!.position
        }))
      )
    })

  /** Writes how far it is. */
  readonly flush: Effect.Effect<void, StorageError | LeaseLost> = this.writing.withPermits(1)(Effect.suspend(() => {
    const { position, written } = this.progress
    if (position === written) return Effect.void
    return patiently(Effect.uninterruptible(
      Effect.map(this.store.move(this.lease, written, position), () => this.progress.commit(position))
    ))
  }))

  readonly flushing: Effect.Effect<never, StorageError | LeaseLost> = Effect.suspend(() => this.progress.dirty).pipe(
    Effect.zipRight(Effect.suspend(() => this.flush)),
    Effect.zipRight(Effect.raceFirst(Effect.sleep(throttle), Effect.suspend(() => this.progress.wanted))),
    Effect.forever
  )

  /** Writes what is left when it ends, if it still may. */
  readonly close: Effect.Effect<void> = Effect.suspend(() => {
    const { position, written } = this.progress
    if (position === written) return Effect.void
    return Effect.map(this.store.move(this.lease, written, position), () => this.progress.commit(position))
  }).pipe(
    Effect.catchTag("LeaseLost", () => Effect.void),
    Effect.catchTag(
      "StorageError",
      (error) =>
        Effect.logWarning(
          `What consumer ${this.settings.name} has done last cannot be written; it will be done again`,
          error
        )
    )
  )

  /**
   * Whether a failed activity is to be tried again; if not, it has been put aside, and the checkpoint moved to it where
   * everything before it is done.
   */
  failed(
    activity: Activity,
    cause: Cause.Cause<unknown>,
    attempts: Attempts<R>,
    isNext: boolean
  ): Effect.Effect<boolean, StorageError | LeaseLost | ConsumerHalted, R> {
    // Interruption is not a failure: it goes on as what it is.
    if (Cause.isInterruptedOnly(cause)) return Effect.interrupt
    const { blocked, lease, progress, store } = this
    const { position } = activity
    const { name, onFailure } = this.settings
    const error = describe(cause)
    const record = Effect.suspend(() => patiently(store.fail(lease, position, attempts.count, error)))
    const park = this.writing.withPermits(1)(patiently(Effect.uninterruptible(
      Effect.map(
        Effect.suspend(() => {
          const parked = store.park(lease, activity, attempts.count, error)
          const moved = Effect.suspend(() => store.move(lease, progress.written, position))
          return isNext ? store.transaction(Effect.zipRight(parked, moved)) : parked
        }),
        () => {
          if (onFailure === "parkResource") blocked.add(activity)
          if (isNext) progress.commit(position)
        }
      )
    )))
    const halt = Effect.suspend(() =>
      Effect.zipRight(
        record,
        new ConsumerHalted({ name, position, attempts: attempts.count, cause: Cause.squash(cause) })
      )
    )
    return Effect.flatMap(
      attempts.again(activity, cause, record),
      (again) => again ? Effect.succeed(true) : Effect.as(onFailure === "halt" ? halt : park, false)
    )
  }

  /** Puts activities behind parked ones of their resources; gives those that are free again. */
  parkBehind(activities: ReadonlyArray<Activity>): Effect.Effect<ReadonlyArray<Activity>, StorageError | LeaseLost> {
    return Effect.map(this.store.parkBehind(this.lease, activities), (free) => {
      for (const activity of free) this.blocked.delete(activity)
      return free
    })
  }
}
