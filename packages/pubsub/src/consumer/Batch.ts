import { type Activity, Position, type StorageError } from "@caravel/domain"
import type { Cause, Effect, Option } from "effect"
import type { LeaseLost } from "./Leases.js"

/** Activities that are handled in order. */
export class Batch {
  activities: ReadonlyArray<Activity>
  /** The index of the current activity. */
  index = 0
  /** Activities that wait to be parked, as activities of their resources are parked. */
  behind: Array<Activity> = []
  /** When the first of them was put there, in nanoseconds. */
  behindSince = 0n
  /** Whether everything before the first activity is done, so that the checkpoint may move with the batch. */
  readonly followsCheckpoint: boolean
  private readonly options: {
    /** Called when an activity is done, in order. */
    readonly onDone: (activity: Activity) => void
    /** Called when all of them are done. */
    readonly onEnd: () => void
  }

  constructor(
    activities: ReadonlyArray<Activity>,
    { followsCheckpoint, ...options }: Batch["options"] & { readonly followsCheckpoint: boolean }
  ) {
    this.activities = activities
    this.followsCheckpoint = followsCheckpoint
    this.options = options
  }

  /** The current activity; the last one if all are done. */
  get current(): Activity {
    return this.activities[Math.min(this.index, this.activities.length - 1)]!
  }

  get isDone(): boolean {
    return this.index >= this.activities.length
  }

  /** Moves on from the current activity, which is done unless others wait to be parked. */
  complete(): void {
    if (this.behind.length === 0) this.options.onDone(this.current)
    this.index++
  }

  /** Moves on from the current activity, which waits to be parked. */
  putBehind(now: bigint): void {
    if (this.behind.length === 0) this.behindSince = now
    this.behind.push(this.current)
    this.index++
  }

  /** The position up to which everything is done once those that wait are parked, except for those that are free. */
  doneWithout([free]: ReadonlyArray<Activity>): Position {
    return free === undefined ? this.activities[this.index - 1]!.position : Position.make(free.position - 1)
  }

  /** Those that wait are parked, except for those that are free. They are next. */
  parkedBehind(free: ReadonlyArray<Activity>): void {
    for (const activity of this.behind) {
      if (activity === free[0]) break
      this.options.onDone(activity)
    }
    this.behind = []
    if (free.length > 0) {
      this.activities = [...this.activities.slice(0, this.index), ...free, ...this.activities.slice(this.index)]
    }
  }

  /** Continues with these activities, once all others are done except for those that wait to be parked. */
  extend(activities: ReadonlyArray<Activity>): void {
    // The last one before them says how far everything is done.
    this.activities = [...this.activities.slice(-1), ...activities]
    this.index = 1
  }

  /** The whole batch is done. */
  end(): void {
    this.options.onEnd()
  }
}

/**
 * Runs handlers from the batch's current activity on. Returns the failure of the activity that it stops at, if there is
 * one.
 */
export type Handle<R> = Effect.Effect<Option.Option<Cause.Cause<unknown>>, StorageError | LeaseLost, R>

/** The activities from an index on, at most `max`, up to the first for which `isBlocked` holds. */
export const ahead = (
  activities: ReadonlyArray<Activity>,
  index: number,
  max: number,
  isBlocked: (activity: Activity) => boolean
): ReadonlyArray<Activity> => {
  const next = activities.slice(index, index + max)
  const blocked = next.findIndex(isBlocked)
  return blocked === -1 ? next : next.slice(0, blocked)
}
