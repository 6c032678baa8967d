import type { Activity, Position, PositionFromOtherEpoch, StorageError } from "@caravel/domain"
import { Effect } from "effect"

/** Why broadcasting has ended. */
export type Ended = StorageError | PositionFromOtherEpoch

/**
 * The last activities that were broadcast, shared by all subscriptions: each holds a position in the window, not a
 * copy. A subscription that falls behind the window reads the journal.
 */
export class Window {
  /** The position up to which everything has been broadcast. */
  position: Position
  /** The window holds every activity after this position. */
  floor: Position
  /** The number of activities that have been broadcast. */
  published = 0
  /** Called whenever the window moves or broadcasting ends. */
  readonly listeners = new Set<() => void>()
  /** Why broadcasting has ended, if it has. */
  failure: Ended | undefined
  private activities: Array<Activity>
  private readonly capacity: number

  /** `recent` are the activities between `floor` and `position`, if the window is to hold them from the start. */
  constructor(position: Position, capacity = 1024, recent: ReadonlyArray<Activity> = [], floor = position) {
    this.capacity = capacity
    this.position = position
    this.activities = [...recent]
    this.floor = floor
  }

  /** The last activity at or before `position`, if it is in the window. */
  get last(): Activity | undefined {
    return this.activities[this.activities.length - 1]
  }

  /** Moves to `position`. `activities` are those between the old position and the new one, oldest first. */
  advance(activities: ReadonlyArray<Activity>, position: Position): void {
    for (const activity of activities) this.activities.push(activity)
    this.published += activities.length
    this.position = position
    // Dropping half of the activities at a time keeps the cost per activity constant.
    const surplus = this.activities.length - this.capacity
    if (surplus >= this.capacity) {
      this.floor = this.activities[surplus - 1]!.position
      this.activities = this.activities.slice(surplus)
    }
    for (const listener of this.listeners) listener()
  }

  /** Waits until the window has moved past `position`. Returns its position. */
  awaitAfter(position: Position): Effect.Effect<Position, Ended> {
    return Effect.async((resume) => {
      const listener = () => {
        if (this.position <= position && this.failure === undefined) return
        this.listeners.delete(listener)
        resume(this.position > position ? Effect.succeed(this.position) : this.failure!)
      }
      this.listeners.add(listener)
      listener()
      return Effect.sync(() => this.listeners.delete(listener))
    })
  }

  /** Ends broadcasting. If called again, the first error is kept. */
  fail(error: Ended): void {
    this.failure ??= error
    for (const listener of this.listeners) listener()
  }

  /** Whether the window holds every activity after `position`. */
  covers(position: Position): boolean {
    return position >= this.floor
  }

  /** The number of activities after `position` that the window holds. */
  count(position: Position): number {
    return this.activities.length - indexAfter(this.activities, position)
  }

  /** Returns at most `max` activities after `position`, oldest first. */
  after(position: Position, max: number): ReadonlyArray<Activity> {
    const index = indexAfter(this.activities, position)
    return this.activities.slice(index, index + max)
  }
}

/** The index of the first activity after a position. */
export const indexAfter = (activities: ReadonlyArray<Activity>, position: Position): number => {
  let low = 0
  let high = activities.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (activities[middle]!.position <= position) low = middle + 1
    else high = middle
  }
  return low
}
