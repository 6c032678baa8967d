/** An activity log in an array. Its reads can be made to fail or to wait. */
import {
  Activity,
  Epoch,
  type EpochStart,
  type EventId,
  Journal,
  Position,
  Pubkey,
  Query,
  type RecordedEvent,
  StorageError
} from "@caravel/domain"
import { DateTime, Effect, Layer } from "effect"
import { pageSize } from "../src/tail/Subscription.js"

export { pageSize }

export const position = (n: number) => Position.make(n)

export const epoch = Epoch.make("00000000-0000-4000-8000-000000000001")

/**
 * Returns the same object for a position of a timeline every time, as tests of thousands of orders need millions of
 * them.
 */
const kept = <A>(make: (n: number, timeline: number) => A): (n: number, timeline: number) => A => {
  const made: Array<Array<A>> = []
  return (n, timeline) => (made[timeline] ??= [])[n] ??= make(n, timeline)
}

export const activity = (n: number): Activity => activityIn(n, 0)

const activityIn = kept((n, timeline) =>
  new Activity({
    position: position(n),
    id: `0000000${timeline}-0000-7000-8000-${n.toString(16).padStart(12, "0")}` as EventId,
    tenant: Pubkey.make("a".repeat(64)),
    createdAt: DateTime.unsafeMake(n),
    activityType: "update_tenant",
    resourceType: "tenant",
    resourceId: Pubkey.make("a".repeat(64))
  })
)

const about = (n: number, timeline: number) => {
  const { activityType: _, resourceType: __, resourceId, ...fields } = activityIn(n, timeline)
  return { ...fields, resourceType: "tenant", resourceId: Pubkey.make(resourceId), version: n, metadata: {} } as const
}

const logging = kept((n, timeline): RecordedEvent => ({ _tag: "TenantUpdated", ...about(n, timeline), changes: {} }))

const silent = kept((n, timeline): RecordedEvent => ({
  _tag: "TenantNwcErrorCleared",
  ...about(n, timeline),
  changes: { nwcError: null }
}))

/** The event at a position of a timeline. It has an activity unless `logged` is false. */
export const event = (n: number, logged = true, timeline = 0): RecordedEvent => (logged ? logging : silent)(n, timeline)

export const positionsOf = (activities: Iterable<Activity>) =>
  Array.from(activities, ({ position }) => position as number)

export const range = (from: number, to: number) =>
  Array.from({ length: Math.max(0, to - from + 1) }, (_, n) => from + n)

const unreadable = new StorageError({ reason: "busy", operation: "read", cause: new Error("unreadable") })

/** The log that a test writes. Every commit moves `head`, whether or not the event has an activity. */
export class World {
  readonly activities: Array<Activity> = []
  head = 0
  reads = 0
  timeline = 0
  /** The number of next reads that fail. */
  failing = 0
  /** The timelines so far. */
  epochs: [EpochStart, ...Array<EpochStart>] = [{ epoch, position: position(0), startedAt: DateTime.unsafeMake(0) }]
  /** Runs before each read. */
  beforeRead: Effect.Effect<void> = Effect.void
  /** Runs before the current epoch is read. */
  beforeEpoch: Effect.Effect<void, StorageError> = Effect.void

  /** Commits `count` events. Those for which `logged` holds are activities. */
  commit(count: number, logged: (n: number) => boolean = () => true): Position {
    for (let n = 0; n < count; n++) {
      this.head++
      if (logged(this.head)) this.activities.push(activityIn(this.head, this.timeline))
    }
    return position(this.head)
  }

  /** Goes back to a position in the same epoch. Different events are committed from there on. */
  goBack(to: number) {
    this.activities.length = this.activities.filter((activity) => activity.position <= to).length
    this.head = to
    this.timeline++
  }

  /** Goes back to a position, in a new epoch. */
  restore(to: number) {
    this.goBack(to)
    this.epochs.push({
      epoch: Epoch.make(`00000000-0000-4000-8000-00000000000${this.epochs.length + 1}`),
      position: position(to),
      startedAt: DateTime.unsafeMake(0)
    })
  }

  readonly read = (
    after: Position,
    upTo: Position,
    limit = pageSize
  ): Effect.Effect<ReadonlyArray<Activity>, StorageError> =>
    Effect.suspend(() => {
      const found = () => this.activities.filter(({ position }) => position > after && position <= upTo).slice(0, limit)
      // The tail checks the last activity that it has broadcast.
      if (limit === 1) return Effect.succeed(found())
      this.reads++
      return Effect.zipRight(
        this.beforeRead,
        Effect.suspend(() => {
          if (this.failing > 0) {
            this.failing--
            return Effect.fail(unreadable)
          }
          return Effect.succeed(found())
        })
      )
    })

  readonly layer: Layer.Layer<Journal | Query> = Layer.merge(
    // Broadcasting reads the activity log, not the journal.
    Layer.mock(Journal, {
      head: Effect.sync(() => position(this.head)),
      epoch: Effect.zipRight(
        Effect.suspend(() => this.beforeEpoch),
        Effect.sync(() => this.epochs[this.epochs.length - 1]!.epoch)
      ),
      epochs: Effect.sync(() => this.epochs)
    }),
    Layer.succeed(
      Query,
      Query.make({
        tenant: () => Effect.never,
        findTenants: () => Effect.never,
        relay: () => Effect.never,
        relayBySubdomain: () => Effect.never,
        findRelays: () => Effect.never,
        activity: ({ after, limit = Infinity, upTo = position(this.head) }) => this.read(after, upTo, limit)
      })
    )
  )
}
