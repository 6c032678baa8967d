import { type Activity, Position, type StorageError } from "@caravel/domain"
import type { Cause, Effect, Option } from "effect"
import type { LeaseLost } from "./Leases.js"
import type { ToPark } from "./Parking.js"

/** Activities that are handled in order. */
export class Batch {
  activities: ReadonlyArray<Activity>
  /** The index of the current activity. */
  index = 0
  /** Activities that are to be parked, in order: failed ones, and those that wait behind parked ones. */
  parking: Array<ToPark> = []
  /** Whether everything before the first activity is done, so that the checkpoint may move with the batch. */
  readonly followsCheckpoint: boolean
  /** The activity before the first one, if it was in this batch. */
  private previous: Activity | undefined
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

  /** The current activity was handled. What follows an activity that is to be parked is done with it. */
  complete(): void {
    if (this.parking.length === 0) this.options.onDone(this.current)
    this.index++
  }

  /** The current activity is to be parked, after this many failed attempts. */
  putAside(attempts: number, error: string | null): void {
    this.parking.push({ activity: this.current, attempts, error })
    this.index++
  }

  /** Everything up to this position is done once the activities to be parked are parked, except for these. */
  doneWithout([first]: ReadonlyArray<Activity>): Position {
    if (first !== undefined) return Position.make(first.position - 1)
    return (this.index === 0 ? this.previous : this.activities[this.index - 1])!.position
  }

  /** The activities to be parked are parked, except for those that are free. They are next. */
  parked(free: ReadonlyArray<Activity>): void {
    for (const { activity } of this.parking) {
      if (activity === free[0]) break
      this.options.onDone(activity)
    }
    this.parking = []
    if (free.length > 0) {
      this.activities = [...this.activities.slice(0, this.index), ...free, ...this.activities.slice(this.index)]
    }
  }

  /** Continues with more activities, once all are done except for those that are to be parked. */
  extend(activities: ReadonlyArray<Activity>): void {
    this.previous = this.activities.at(-1) ?? this.previous
    this.activities = activities
    this.index = 0
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
