import type { Activity, Position, PositionFromOtherEpoch, StorageError } from "@caravel/domain"
import { Effect } from "effect"

/** Why nothing more is broadcast. */
export type Ended = StorageError | PositionFromOtherEpoch

/**
 * The last activities that were broadcast, shared by all subscriptions: they hold a position in it, not a copy.
 * A subscription that has fallen behind it reads the journal.
 */
export class Window {
  /** Everything up to here has been broadcast. */
  position: Position
  /** The window holds every activity after this position. */
  floor: Position
  /** How many activities have been broadcast. */
  published = 0
  /** Whom to tell that the window has moved. */
  readonly listeners = new Set<() => void>()
  /** Why nothing more comes, if so. */
  failure: Ended | undefined
  private activities: Array<Activity>
  private readonly capacity: number

  /** It may begin with what was committed between `floor` and `position`. */
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

  /** Moves on to `position`, with the activities between the old one and it, oldest first. */
  advance(activities: ReadonlyArray<Activity>, position: Position): void {
    for (const activity of activities) this.activities.push(activity)
    this.published += activities.length
    this.position = position
    // Dropping half at a time keeps the cost per activity constant.
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

  /** From now on nothing is broadcast; the first error counts. */
  fail(error: Ended): void {
    this.failure ??= error
    for (const listener of this.listeners) listener()
  }

  /** Whether nothing after `position` is missing here. */
  covers(position: Position): boolean {
    return position >= this.floor
  }

  /** How many activities after `position` it holds. */
  count(position: Position): number {
    return this.activities.length - this.indexAfter(position)
  }

  /** At most `max` activities after `position`, oldest first. */
  after(position: Position, max: number): ReadonlyArray<Activity> {
    const index = this.indexAfter(position)
    return this.activities.slice(index, index + max)
  }

  private indexAfter(position: Position): number {
    let low = 0
    let high = this.activities.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.activities[middle]!.position <= position) low = middle + 1
      else high = middle
    }
    return low
  }
}
