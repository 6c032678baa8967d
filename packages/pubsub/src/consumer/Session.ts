import { type Activity, Position, type PositionFromOtherEpoch, type Query, type StorageError } from "@caravel/domain"
import { Cause, type Clock, Duration, Effect, identity, LogLevel, Option } from "effect"
import { sleep } from "../runtime/Waiting.js"
import { pageSize } from "../tail/Subscription.js"
import type { Tail } from "../tail/Tail.js"
import type { Attempts } from "./Attempts.js"
import type { Batch } from "./Batch.js"
import type { BlockedResources } from "./BlockedResources.js"
import type { Checkpoint } from "./Checkpoints.js"
import { ConsumerHalted } from "./ConsumerError.js"
import type { Settings } from "./ConsumerSettings.js"
import type { ConsumerSpans } from "./ConsumerSpans.js"
import type { ConsumerStore } from "./ConsumerStore.js"
import { describeCause, logFailure } from "./HandlerFailure.js"
import type { HeldLease } from "./HeldLease.js"
import type { InFlight } from "./InFlight.js"
import type { Lease, LeaseLost } from "./Leases.js"
import type { Outcomes } from "./Outcomes.js"
import type { ToPark } from "./Parking.js"
import type { Progress } from "./Progress.js"
import { retryWhileUnavailable } from "./StorageRetry.js"

/** The minimum time between two writes of the checkpoint, unless a fiber waits for it. */
const flushInterval = "100 millis"

/** How long activities that wait to be parked may wait for more, in nanoseconds: one commit parks them all. */
const behindInterval = 100_000_000n

/** The maximum number of positions that a query scans, so that it never takes long. */
const maxPositions = 4096

interface Page {
  readonly activities: ReadonlyArray<Activity>
  /** The page contains all activities up to this position that pass the filter. */
  readonly last: Position
}

/** The errors with which a run stops holding its lease. */
export type RunEnd = StorageError | PositionFromOtherEpoch | LeaseLost | ConsumerHalted

/** What a consumer uses and writes while it holds its lease. */
export class Session<E, R> {
  readonly settings: Settings<E, R>
  readonly store: typeof ConsumerStore.Service
  readonly held: HeldLease
  readonly lease: Lease
  readonly progress: Progress
  readonly blocked: BlockedResources
  readonly inFlight: InFlight
  readonly outcomes: Outcomes
  readonly spans: ConsumerSpans
  /** Activities after this position are not handled. */
  readonly limit: number
  /**
   * The activity that is being retried, and its recorded error. A run that was killed leaves it to the next one, as a run
   * that halted does.
   */
  private retried: { readonly position: Position; readonly error: string } | undefined
  /** The batches with activities that wait to be parked. */
  private readonly waiting = new Set<Batch>()
  /** Held while the checkpoint is written. */
  readonly writing = Effect.unsafeMakeSemaphore(1)
  private readonly clock: Clock.Clock
  private readonly query: typeof Query.Service
  private readonly tail: typeof Tail.Service

  constructor(options: {
    readonly settings: Settings<E, R>
    readonly store: typeof ConsumerStore.Service
    readonly clock: Clock.Clock
    readonly query: typeof Query.Service
    readonly tail: typeof Tail.Service
    readonly held: HeldLease
    readonly progress: Progress
    readonly checkpoint: Checkpoint
    readonly blocked: BlockedResources
    readonly inFlight: InFlight
    readonly outcomes: Outcomes
    readonly spans: ConsumerSpans
    readonly limit: number
  }) {
    this.settings = options.settings
    this.store = options.store
    this.clock = options.clock
    this.query = options.query
    this.tail = options.tail
    this.held = options.held
    this.lease = options.held.lease
    this.progress = options.progress
    this.blocked = options.blocked
    this.inFlight = options.inFlight
    this.outcomes = options.outcomes
    this.spans = options.spans
    this.limit = options.limit
    const { attempts, failedPosition, lastError } = options.checkpoint
    if (attempts > 0 && failedPosition !== null) this.retried = { position: failedPosition, error: lastError ?? "" }
  }

  /** Whether the log continues after a position, up to the limit. */
  readonly isBehind = (position: Position): Effect.Effect<boolean> =>
    Effect.map(this.tail.position, (head) => position < Math.min(head, this.limit))

  /** Waits for activities after a position, and reads the next page. */
  readonly page = (after: Position): Effect.Effect<Page, StorageError | PositionFromOtherEpoch> =>
    after >= this.limit ? Effect.never : Effect.flatMap(this.tail.awaitAfter(after), (head) => {
      const upTo = Position.make(Math.min(head, after + maxPositions, this.limit))
      const { filter } = this.settings
      return this.query.activity({ ...filter, after, upTo, limit: pageSize }).pipe(
        Effect.catchTag("ParseError", Effect.die),
        Effect.zipLeft(this.tail.failIfRestored(after)),
        retryWhileUnavailable,
        Effect.tap((activities) => this.spans.load(activities)),
        Effect.map((activities) => ({
          activities,
          last: activities.length < pageSize ? upTo : activities[activities.length - 1]!.position
        }))
      )
    })

  /**
   * Reads the checkpoint after a commit with an unknown outcome. Renewing the lease first waits until that transaction
   * has ended.
   */
  readonly committed: Effect.Effect<Position, StorageError | LeaseLost> = Effect.suspend(() =>
    retryWhileUnavailable(
      Effect.zipRight(this.store.leases.renew(this.lease), this.store.checkpoints.find(this.lease.consumer))
    )
  ).pipe(Effect.map((checkpoint) => {
    const position = Option.match(checkpoint, {
      onNone: () => this.progress.written,
      onSome: ({ position }) => position
    })
    this.progress.commit(position)
    return position
  }))

  /**
   * Parks the failed activities and those that wait, and moves the checkpoint to the position that `done` returns, given
   * those that are free again: the same position each time, although workers advance and fail meanwhile. Repeated after a
   * commit with an unknown outcome, it therefore writes the same.
   */
  private write(
    behind: ReadonlyArray<Activity>,
    done: (free: ReadonlyArray<Activity>) => Position,
    onWritten: (free: ReadonlyArray<Activity>) => void = () => {}
  ): Effect.Effect<void, StorageError | LeaseLost> {
    const { lease, outcomes, progress, store } = this
    // A handler may end meanwhile, and fail.
    const failed = [...progress.failed]
    const list = failed.concat(behind.map(waiting))
    const moved = (free: ReadonlyArray<Activity>) => store.checkpoints.move(lease, progress.written, done(free))
    const written = list.length === 0
      ? Effect.as(moved([]), [])
      : store.transaction(Effect.tap(store.parking.park(lease, list), moved))
    return Effect.uninterruptible(Effect.map(written, (free) => {
      const isFree = new Set(free)
      for (const { activity } of list) if (!isFree.has(activity)) outcomes.onParked()
      progress.commit(done(free), failed.length)
      onWritten(free)
    }))
  }

  private writeProgress(): Effect.Effect<unknown, StorageError | LeaseLost> {
    const { failed, position, written } = this.progress
    return position === written && failed.length === 0 ? Effect.void : this.write([], () => position)
  }

  private readonly flush: Effect.Effect<void, StorageError | LeaseLost> = this.writing.withPermits(1)(
    Effect.suspend(() => {
      this.outcomes.publish()
      return Effect.asVoid(retryWhileUnavailable(this.writeProgress()))
    })
  )

  /** Writes the checkpoint whenever it has moved, and parks failed activities with it. */
  readonly flushing: Effect.Effect<never, StorageError | LeaseLost> = Effect.suspend(() => this.progress.dirty).pipe(
    Effect.zipRight(Effect.suspend(() => this.flush)),
    Effect.zipRight(Effect.raceFirst(sleep(flushInterval), Effect.suspend(() => this.progress.wanted))),
    Effect.forever
  )

  /**
   * Writes the final checkpoint, and the error of a handler that was interrupted or waited for a retry. Failures are
   * logged.
   */
  readonly close: Effect.Effect<void> = Effect.gen(this, function*() {
    for (const batch of this.waiting) yield* this.writeBehind(batch, identity)
    yield* this.writeProgress()
    const { position } = this.progress
    const unfinished = this.unfinished()
    if (unfinished !== undefined && unfinished.position > position) {
      // 0 attempts, as more would mean that the consumer has halted.
      yield* this.store.checkpoints.recordFailure(this.lease, unfinished.position, 0, unfinished.error)
    }
  }).pipe(
    Effect.catchTags({
      LeaseLost: () => Effect.void,
      StorageError: (error) =>
        Effect.logWarning(
          `The last checkpoint of consumer ${this.settings.name} cannot be written; its last activities will be handled again`,
          error
        )
    })
  )

  private unfinished() {
    const [first] = [...this.inFlight.cutOff].sort((one, other) => one.position - other.position)
    return first === undefined ? this.retried : {
      position: first.position,
      error: `StopTimeout: the handler was interrupted because it had not ended ${
        Duration.format(this.inFlight.stopTimeout)
      } after the consumer was stopped`
    }
  }

  /** Logs that a call with several activities failed, before each of them is tried alone. */
  reportBatchFailure([first, ...others]: ReadonlyArray<Activity>, cause: Cause.Cause<unknown>): Effect.Effect<void> {
    this.outcomes.onBatchFailed()
    const { name } = this.settings
    return Effect.logDebug(
      `Consumer ${name} failed at a batch of ${others.length + 1} activities from position ${first!.position} on, ` +
        `and tries them one by one: ${describeCause(cause)}`
    ).pipe(Effect.annotateLogs({ consumer: name, position: first!.position }))
  }

  /**
   * Handles the failure of a batch's current activity: waits until it is time to retry, or moves on from it, to be
   * parked. Fails with `ConsumerHalted` if the consumer halts.
   *
   * Every cause counts as a failure, including interruptions inside the handler: this does not run if the consumer
   * itself is interrupted.
   */
  handleFailure(
    batch: Batch,
    cause: Cause.Cause<unknown>,
    attempts: Attempts<R>
  ): Effect.Effect<void, StorageError | LeaseLost | ConsumerHalted, R> {
    // The next run handles the activity again.
    if (this.inFlight.stopping) return Effect.never
    const activity = batch.current
    const { position } = activity
    const { name, onFailure } = this.settings
    const { outcomes, spans } = this
    const error = describeCause(cause)
    const report = (level: LogLevel.LogLevel, consequence: string) =>
      Effect.suspend(() => {
        outcomes.onFailed(activity, attempts.count)
        return logFailure(level, name, activity, attempts.count, error, consequence)
      })
    const record = Effect.suspend(() =>
      retryWhileUnavailable(this.store.checkpoints.recordFailure(this.lease, position, attempts.count, error))
    )
    const beforeRetry = report(LogLevel.Debug, "tries again").pipe(
      Effect.zipRight(record),
      Effect.zipRight(Effect.suspend(() => {
        this.retried = { position, error }
        // The wait may be long. Those that are free again come before the activity.
        return batch.behind.length === 0 ? Effect.void : this.parkAllBehind(batch)
      }))
    )
    const halt = Effect.suspend(() => {
      const { count } = attempts
      const halted = new ConsumerHalted({ consumer: name, position, attempts: count, cause: Cause.squash(cause) })
      return record.pipe(
        Effect.tap(() => Effect.sync(() => this.retried = undefined)),
        Effect.zipRight(report(LogLevel.Error, "halts")),
        spans.around("halt", [activity]),
        Effect.zipRight(this.inFlight.halt(halted))
      )
    })
    const park = report(LogLevel.Warning, "parks it").pipe(
      Effect.zipRight(Effect.suspend(() => {
        if (onFailure === "parkResource") this.blocked.add(activity)
        outcomes.onGivenUp(activity)
        this.progress.park({ activity, attempts: attempts.count, error })
        batch.complete()
        // The next transaction moves the checkpoint.
        return this.settings.transactional ? this.flush : Effect.void
      })),
      spans.around("park", [activity])
    )
    return Effect.flatMap(
      attempts.waitToRetry(activity, cause, beforeRetry),
      (retry): Effect.Effect<void, StorageError | LeaseLost | ConsumerHalted> => {
        if (!retry) return onFailure === "halt" ? halt : park
        outcomes.onRetry()
        return Effect.void
      }
    )
  }

  /** Puts a batch's current activity behind those of its resource that are parked. It waits to be parked. */
  putBehind(batch: Batch): void {
    batch.putBehind(this.clock.unsafeCurrentTimeNanos())
    this.waiting.add(batch)
  }

  /** Whether activities of a batch have waited to be parked for long enough. */
  mustPark(batch: Batch): boolean {
    return batch.behind.length > 0 && this.clock.unsafeCurrentTimeNanos() - batch.behindSince >= behindInterval
  }

  /** Parks the activities of a batch that wait to be parked. Those whose resources are free again are next in the batch. */
  readonly parkAllBehind = (batch: Batch): Effect.Effect<void, StorageError | LeaseLost> =>
    this.writing.withPermits(1)(this.writeBehind(batch, retryWhileUnavailable))

  private writeBehind(
    batch: Batch,
    retried: (written: Effect.Effect<void, StorageError | LeaseLost>) => Effect.Effect<void, StorageError | LeaseLost>
  ): Effect.Effect<void, StorageError | LeaseLost> {
    return Effect.suspend(() => {
      const { position } = this.progress
      const done = batch.followsCheckpoint ? (free: ReadonlyArray<Activity>) => batch.doneWithout(free) : () => position
      return retried(this.write(batch.behind, done, (free) => {
        this.unblock(free)
        batch.parkedBehind(free)
        this.waiting.delete(batch)
      }))
    })
  }

  /** Parks an activity if its resource has parked activities; otherwise returns it. */
  readonly parkBehind = (activity: Activity): Effect.Effect<ReadonlyArray<Activity>, StorageError | LeaseLost> =>
    Effect.tap(
      this.store.parking.park(this.lease, [waiting(activity)]),
      (free) => Effect.sync(() => this.unblock(free))
    )

  private unblock(activities: ReadonlyArray<Activity>): void {
    for (const activity of activities) this.blocked.delete(activity)
  }
}

const waiting = (activity: Activity): ToPark => ({ activity, attempts: 0, error: null })
