import { type Activity, Position, resourceKey } from "@caravel/domain"
import { Effect } from "effect"
import { Signal } from "./Local.js"

/** How many activities are read ahead of the oldest that is not done. */
const capacity = 1024

export interface Item {
  readonly activity: Activity
  done: boolean
}

/** Activities of one resource, in order; the first of them may be in hand. */
export type Lane = Array<Item>

/** Activities that are read and not yet done: one lane a resource, of each of which one activity is in hand at a time. */
export class Lanes {
  private readonly lanes = new Map<string, Lane>()
  private readonly ready: Array<Lane> = []
  /** In the order of the log, from the oldest that is not done. */
  private items: Array<Item> = []
  private readonly added = new Signal()
  private readonly removed = new Signal()
  private position: Position

  constructor(position: Position) {
    this.position = position
  }

  /** Everything up to here is done. */
  get done(): Position {
    return this.items.length === 0 ? this.position : Position.make(this.items[0]!.activity.position - 1)
  }

  /** Completes once there is room for more. */
  readonly room: Effect.Effect<void> = Effect.suspend(() =>
    this.items.length < capacity ? Effect.void : Effect.zipRight(this.removed.beyond(this.removed.count), this.room)
  )

  /** Adds what was read up to a position. */
  add(activities: ReadonlyArray<Activity>, position: Position): void {
    this.position = position
    for (const activity of activities) {
      const item = { activity, done: false }
      this.items.push(item)
      const key = resourceKey(activity)
      const lane = this.lanes.get(key)
      if (lane === undefined) {
        const lane = [item]
        this.lanes.set(key, lane)
        this.ready.push(lane)
      } else lane.push(item)
    }
    this.added.notify()
  }

  /** A lane to work in, once there is one; nobody else has it until it is given back. */
  readonly take: Effect.Effect<Lane> = Effect.suspend(() => {
    const lane = this.ready.shift()
    return lane === undefined
      ? Effect.zipRight(this.added.beyond(this.added.count), this.take)
      : Effect.succeed(lane)
  })

  /** The first of a lane, so many, are done. */
  complete(lane: Lane, count = 1): void {
    for (const item of lane.splice(0, count)) item.done = true
    const first = this.items.findIndex(({ done }) => !done)
    this.items.splice(0, first === -1 ? this.items.length : first)
    this.removed.notify()
  }

  /** Gives a lane back. */
  release(lane: Lane, activity: Activity): void {
    if (lane.length === 0) this.lanes.delete(resourceKey(activity))
    else {
      this.ready.push(lane)
      this.added.notify()
    }
  }
}
