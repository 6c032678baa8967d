import { type Activity, Position, type PositionFromOtherEpoch, type Query, type StorageError } from "@caravel/domain"
import { Cause, Duration, Effect, LogLevel, Option } from "effect"
import { sleep } from "../runtime/Waiting.js"
import { pageSize } from "../tail/Subscription.js"
import type { Tail } from "../tail/Tail.js"
import type { Attempts } from "./Attempts.js"
import type { Blocked } from "./Blocked.js"
import { ConsumerHalted } from "./ConsumerError.js"
import type { ConsumerStore, Lease, LeaseLost } from "./ConsumerStore.js"
import { describeCause } from "./Describe.js"
import type { Held } from "./Held.js"
import type { InFlight } from "./InFlight.js"
import { logFailure } from "./LogFailure.js"
import { patiently } from "./Patiently.js"
import type { Progress } from "./Progress.js"
import type { Settings } from "./Settings.js"

/** How often a checkpoint is written at most, but for who waits for it. */
const throttle = "100 millis"

/** How far a query looks for what passes the filter, so that it never takes long. */
const reach = 4096

interface Page {
  readonly activities: ReadonlyArray<Activity>
  /** Up to here, there are no others. */
  readonly last: Position
}

/** Handles a page, in order. */
export type PageHandling<R> = Effect.Effect<void, StorageError | LeaseLost | ConsumerHalted, R>

/** What a consumer does while it holds its lease. */
export class Session<E, R> {
  readonly settings: Settings<E, R>
  readonly store: typeof ConsumerStore.Service
  readonly held: Held
  readonly lease: Lease
  readonly progress: Progress
  readonly blocked: Blocked
  readonly inFlight: InFlight
  /** What is being tried again, as recorded. */
  private retried: { readonly position: Position; readonly error: string } | undefined
  /** The checkpoint has one writer at a time. */
  readonly writing = Effect.unsafeMakeSemaphore(1)
  private readonly query: typeof Query.Service
  private readonly tail: typeof Tail.Service

  constructor(options: {
    readonly settings: Settings<E, R>
    readonly store: typeof ConsumerStore.Service
    readonly query: typeof Query.Service
    readonly tail: typeof Tail.Service
    readonly held: Held
    readonly progress: Progress
    readonly blocked: Blocked
    readonly inFlight: InFlight
  }) {
    this.settings = options.settings
    this.store = options.store
    this.query = options.query
    this.tail = options.tail
    this.held = options.held
    this.lease = options.held.lease
    this.progress = options.progress
    this.blocked = options.blocked
    this.inFlight = options.inFlight
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

  /** Where the checkpoint is, after a commit that was not answered: that holds the lease's row until it is decided. */
  readonly committed: Effect.Effect<Position, StorageError | LeaseLost> = Effect.suspend(() =>
    patiently(Effect.zipRight(this.store.leases.renew(this.lease), this.store.checkpoints.find(this.lease.consumer)))
  ).pipe(Effect.map((checkpoint) => {
    const position = Option.match(checkpoint, {
      onNone: () => this.progress.written,
      onSome: ({ position }) => position
    })
    this.progress.commit(position)
    return position
  }))

  /** Writes how far it is. */
  readonly flush: Effect.Effect<void, StorageError | LeaseLost> = this.writing.withPermits(1)(Effect.suspend(() => {
    const { position, written } = this.progress
    if (position === written) return Effect.void
    return patiently(Effect.uninterruptible(
      Effect.map(this.store.checkpoints.move(this.lease, written, position), () => this.progress.commit(position))
    ))
  }))

  readonly flushing: Effect.Effect<never, StorageError | LeaseLost> = Effect.suspend(() => this.progress.dirty).pipe(
    Effect.zipRight(Effect.suspend(() => this.flush)),
    Effect.zipRight(Effect.raceFirst(sleep(throttle), Effect.suspend(() => this.progress.wanted))),
    Effect.forever
  )

  /** Writes what is left when it ends, if it still may: how far it is, and what was cut off or tried again. */
  readonly close: Effect.Effect<void> = Effect.gen(this, function*() {
    const { position, written } = this.progress
    if (position !== written) {
      yield* this.store.checkpoints.move(this.lease, written, position)
      this.progress.commit(position)
    }
    const interrupted = this.interrupted()
    // No attempts: it neither goes on nor has it halted.
    if (interrupted !== undefined && interrupted.position > position) {
      yield* this.store.checkpoints.recordFailure(this.lease, interrupted.position, 0, interrupted.error)
    }
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

  private interrupted() {
    const [first] = [...this.inFlight.cutOff].sort((one, other) => one.position - other.position)
    return first === undefined ? this.retried : {
      position: first.position,
      error: `StopTimeout: the handler was interrupted, as it had not ended ${
        Duration.format(this.inFlight.stopTimeout)
      } after the consumer was stopped`
    }
  }

  /**
   * Whether a failed activity is to be tried again; if not, it has been put aside, and the checkpoint moved to it where
   * everything before it is done. Whatever the handler failed with counts: if the consumer itself had been interrupted, it
   * would not have come here.
   */
  failed(
    activity: Activity,
    cause: Cause.Cause<unknown>,
    attempts: Attempts<R>,
    isNext: boolean
  ): Effect.Effect<boolean, StorageError | LeaseLost | ConsumerHalted, R> {
    const { blocked, inFlight, lease, progress, store } = this
    // It comes again when the consumer is next run.
    if (inFlight.stopping) return Effect.never
    const { position } = activity
    const { name, onFailure } = this.settings
    const error = describeCause(cause)
    const log = (level: LogLevel.LogLevel, consequence: string) =>
      Effect.suspend(() => logFailure(level, name, activity, attempts.count, error, consequence))
    const record = Effect.suspend(() =>
      patiently(store.checkpoints.recordFailure(lease, position, attempts.count, error))
    )
    const retry = Effect.zipRight(log(LogLevel.Debug, "tries again"), record).pipe(
      Effect.tap(() => Effect.sync(() => this.retried = { position, error }))
    )
    const park = this.writing.withPermits(1)(patiently(Effect.uninterruptible(
      Effect.map(
        Effect.suspend(() => {
          const parked = store.parking.park(lease, activity, attempts.count, error)
          const moved = Effect.suspend(() => store.checkpoints.move(lease, progress.written, position))
          return isNext ? store.transaction(Effect.zipRight(parked, moved)) : parked
        }),
        () => {
          if (onFailure === "parkResource") blocked.add(activity)
          if (isNext) progress.commit(position)
        }
      )
    )))
    const halt = Effect.suspend(() => {
      const halted = new ConsumerHalted({
        consumer: name,
        position,
        attempts: attempts.count,
        cause: Cause.squash(cause)
      })
      return record.pipe(
        Effect.tap(() => Effect.sync(() => this.retried = undefined)),
        Effect.zipRight(log(LogLevel.Error, "halts")),
        // Others that are handled at once are not cut off.
        Effect.zipRight(inFlight.drain),
        Effect.zipRight(halted)
      )
    })
    return Effect.flatMap(attempts.again(activity, cause, retry), (again) =>
      again
        ? Effect.succeed(true)
        : Effect.as(onFailure === "halt" ? halt : Effect.zipLeft(park, log(LogLevel.Warning, "parks it")), false))
  }

  /** Puts activities behind parked ones of their resources; gives those that are free again. */
  parkBehind(activities: ReadonlyArray<Activity>): Effect.Effect<ReadonlyArray<Activity>, StorageError | LeaseLost> {
    return Effect.map(this.store.parking.parkBehind(this.lease, activities), (free) => {
      for (const activity of free) this.blocked.delete(activity)
      return free
    })
  }
}
