import type { Activity, StorageError } from "@caravel/domain"
import type { Cause, Effect, Option } from "effect"
import type { LeaseLost } from "./Leases.js"

/** Activities that are handled in order. */
export class Batch {
  /** The index of the current activity. */
  index = 0
  /** Activities whose resources have parked activities. They are parked together at the end. */
  readonly behind: Array<Activity> = []
  readonly activities: ReadonlyArray<Activity>
  private readonly options: {
    /** Whether everything before the first activity is done, so that the checkpoint may move with the batch. */
    readonly followsCheckpoint: boolean
    /** Called when an activity is done, in order. */
    readonly onDone: (activity: Activity) => void
    /** Called when all of them are done. */
    readonly onEnd: () => void
  }

  constructor(activities: ReadonlyArray<Activity>, options: Batch["options"]) {
    this.activities = activities
    this.options = options
  }

  /** The current activity; the last one if all are done. */
  get current(): Activity {
    return this.activities[Math.min(this.index, this.activities.length - 1)]!
  }

  get isDone(): boolean {
    return this.index >= this.activities.length
  }

  /** Whether everything before the current activity is done. Activities that wait to be parked are not done. */
  get isNext(): boolean {
    return this.options.followsCheckpoint && this.behind.length === 0
  }

  /** Moves on from the current activity: it was handled, was parked, or waits to be parked. */
  complete(): void {
    if (this.behind.length === 0) this.options.onDone(this.current)
    this.index++
  }

  /** The same batch with only these activities. */
  of(activities: ReadonlyArray<Activity>): Batch {
    return new Batch(activities, this.options)
  }

  /** The whole batch is done. */
  end(): void {
    for (const activity of this.behind) this.options.onDone(activity)
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
