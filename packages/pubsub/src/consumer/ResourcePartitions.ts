import { type Activity, Position } from "@caravel/domain"
import { resourceKey } from "@caravel/domain/adapter"
import { Effect } from "effect"
import { Signal } from "./LocalSignals.js"

/** The maximum number of activities between the oldest that is not done and the last that was read. */
const capacity = 1024

interface Item {
  readonly activity: Activity
  done: boolean
}

/** The activities of one resource that are not done, in order. */
export type Partition = Array<Item>

/** Activities that were read and are not done, by resource. A partition is taken by one worker at a time. */
export class ResourcePartitions {
  private readonly partitions = new Map<string, Partition>()
  private readonly ready: Array<Partition> = []
  /** In the order of the log, from the oldest that is not done. */
  private items: Array<Item> = []
  private readonly added = new Signal()
  private readonly removed = new Signal()
  private position: Position

  constructor(position: Position) {
    this.position = position
  }

  /** Everything up to this position is done. */
  get done(): Position {
    return this.items.length === 0 ? this.position : Position.make(this.items[0]!.activity.position - 1)
  }

  /** Completes when activities can be added. */
  readonly hasCapacity: Effect.Effect<void> = Effect.suspend(() =>
    this.items.length < capacity
      ? Effect.void
      : Effect.zipRight(this.removed.after(this.removed.count), this.hasCapacity)
  )

  /** Adds the activities that were read up to a position. */
  add(activities: ReadonlyArray<Activity>, position: Position): void {
    this.position = position
    for (const activity of activities) {
      const item = { activity, done: false }
      this.items.push(item)
      const key = resourceKey(activity)
      const partition = this.partitions.get(key)
      if (partition === undefined) {
        const partition = [item]
        this.partitions.set(key, partition)
        this.ready.push(partition)
      } else partition.push(item)
    }
    this.added.notify()
  }

  /** Waits for a partition, and takes it until it is released. */
  readonly take: Effect.Effect<Partition> = Effect.suspend(() => {
    const partition = this.ready.shift()
    return partition === undefined
      ? Effect.zipRight(this.added.after(this.added.count), this.take)
      : Effect.succeed(partition)
  })

  /** Marks the first activity of a partition as done. */
  completeFirst(partition: Partition): void {
    for (const item of partition.splice(0, 1)) item.done = true
    const first = this.items.findIndex(({ done }) => !done)
    this.items.splice(0, first === -1 ? this.items.length : first)
    this.removed.notify()
  }

  /** Releases the partition of an activity's resource. */
  release(partition: Partition, activity: Activity): void {
    if (partition.length === 0) this.partitions.delete(resourceKey(activity))
    else {
      this.ready.push(partition)
      this.added.notify()
    }
  }
}
