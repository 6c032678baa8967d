/** The checkpoints of consumers in memory. */
import { type Activity, currentInstant, type Position, Query, type StorageError } from "@caravel/domain"
import { CheckpointStore } from "@caravel/pubsub"
import { Array, type DateTime, Effect, Function, Layer, Option, Order } from "effect"
import { Store } from "./internal/Store.js"

type Mutable<A> = { -readonly [Field in keyof A]: A[Field] }

interface Entry {
  readonly checkpoint: Mutable<Omit<CheckpointStore.Checkpoint, "owner" | "parked">>
  readonly leases: { readonly [Task in CheckpointStore.Task]: Mutable<CheckpointStore.Holding> }
  readonly parked: Map<Position, Mutable<CheckpointStore.Parked>>
  readonly replays: Mutable<CheckpointStore.Replays>
}

/**
 * Checkpoints that end with the layer. There is nothing to roll back in memory: what a transactional handler does before
 * it fails stays done, but the checkpoint moves only with what it has finished.
 */
export const layer: Layer.Layer<CheckpointStore.CheckpointStore, never, Query | Store> = Layer.effect(
  CheckpointStore.CheckpointStore,
  Effect.zipWith(Query, Store, (query, { start: { epoch } }) => {
    const entries = new Map<string, Entry>()
    const entryOf = (name: string) => Option.fromNullable(entries.get(name))
    const parkedOf = (name: string) =>
      Array.sortWith(entries.get(name)?.parked.values() ?? [], ({ activity }) => activity.position, Order.number)

    const fenced = <A>(lease: CheckpointStore.Lease, write: (entry: Entry, now: DateTime.Utc) => A) =>
      Effect.flatMap(currentInstant, (now) => {
        const entry = entries.get(lease.consumer)
        const holding = entry?.leases[lease.task]
        if (entry === undefined || holding?.fence !== lease.fence || holding.owner === null) {
          return lost(lease)
        }
        holding.heartbeat++
        return Effect.succeed(write(entry, now))
      })

    const checkpointOf = ({ checkpoint, leases, parked }: Entry): CheckpointStore.Checkpoint => ({
      ...checkpoint,
      owner: leases.run.owner,
      parked: parked.size
    })

    return {
      register: (name, position, filter) =>
        Effect.sync(() => {
          const entry = entries.get(name)
          if (entry !== undefined) entry.checkpoint.filter = filter
          else {
            entries.set(name, {
              checkpoint: {
                name,
                position,
                epoch,
                filter,
                attempts: 0,
                failedPosition: null,
                lastError: null,
                progressedAt: null
              },
              leases: {
                run: { fence: 0, heartbeat: 0, owner: null },
                replay: { fence: 0, heartbeat: 0, owner: null }
              },
              parked: new Map(),
              replays: { requested: 0, done: 0 }
            })
          }
        }),
      find: (name) => Effect.sync(() => Option.map(entryOf(name), checkpointOf)),
      list: Effect.sync(() =>
        Array.sortWith(Array.map(Array.fromIterable(entries.values()), checkpointOf), ({ name }) => name, Order.string)
      ),
      backlog: (after, filter) =>
        query.activity({ ...filter, after }).pipe(
          Effect.catchTag("ParseError", Effect.die),
          Effect.map((activities) => ({ activities: activities.length, since: activities[0]?.createdAt ?? null }))
        ),

      holding: (name, task) => Effect.sync(() => Option.map(entryOf(name), ({ leases }) => ({ ...leases[task] }))),
      acquire: (name, task, seen, owner) =>
        Effect.sync(() => {
          const holding = entries.get(name)?.leases[task]
          if (holding?.fence !== seen.fence || holding.heartbeat !== seen.heartbeat) return Option.none()
          holding.owner = owner
          return Option.some({ consumer: name, task, fence: ++holding.fence })
        }),
      renew: (lease) => fenced(lease, Function.constVoid),
      release: (lease) =>
        Effect.sync(() => {
          const holding = entries.get(lease.consumer)?.leases[lease.task]
          if (holding?.fence === lease.fence) holding.owner = null
        }),

      move: (lease, from, to) =>
        Effect.flatten(fenced(lease, ({ checkpoint }, now) => {
          if (checkpoint.position !== from && checkpoint.position !== to) return lost(lease)
          checkpoint.position = to
          checkpoint.progressedAt = now
          if (checkpoint.failedPosition !== null && checkpoint.failedPosition <= to) checkpoint.attempts = 0
          return Effect.void
        })),
      fail: (lease, position, attempts, error) =>
        fenced(lease, ({ checkpoint, parked }) => {
          if (lease.task === "run") {
            Object.assign(checkpoint, { failedPosition: position, attempts, lastError: error })
          } else {
            const row = parked.get(position)
            if (row !== undefined) Object.assign(row, { attempts: row.attempts + attempts, error })
          }
        }),
      park: (lease, activity, attempts, error) =>
        fenced(lease, ({ parked }, now) => {
          parked.set(activity.position, { activity, attempts, error, parkedAt: now })
        }),
      parkBehind: (lease, activities) =>
        fenced(lease, ({ parked }, now) => {
          const blocking = [...parked.values()]
          const [free, behind] = Array.partition(activities, (activity) =>
            blocking.some((row) => sameResource(row.activity, activity)))
          for (const activity of behind) {
            if (!parked.has(activity.position)) {
              parked.set(activity.position, { activity, attempts: 0, error: null, parkedAt: now })
            }
          }
          return free
        }),
      unpark: (lease, position) => fenced(lease, ({ parked }) => void parked.delete(position)),

      requestReplay: (name) => Effect.sync(() => Option.map(entryOf(name), ({ replays }) => ++replays.requested)),
      replays: (name) => Effect.sync(() => Option.map(entryOf(name), ({ replays }) => ({ ...replays }))),
      replayed: (lease, count) =>
        fenced(lease, ({ replays }) => {
          replays.done = Math.max(replays.done, count)
        }),

      parked: (name, after, limit) =>
        Effect.sync(() =>
          parkedOf(name).filter(({ activity }) => activity.position > after).slice(0, limit).map((row) => ({ ...row }))
        ),
      isParkedBefore: (name, activity) =>
        Effect.sync(() =>
          parkedOf(name).some((row) =>
            sameResource(row.activity, activity) && row.activity.position < activity.position
          )
        ),
      parkedResources: (name) => Effect.sync(() => parkedOf(name).map(({ activity }) => activity)),
      drop: (name, positions) =>
        Effect.sync(() => {
          const parked = entries.get(name)?.parked ?? new Map<Position, CheckpointStore.Parked>()
          return (positions ?? [...parked.keys()]).filter((position) => parked.delete(position)).length
        }),
      reset: (name, position) =>
        Effect.sync(() => {
          const entry = entries.get(name)
          if (entry === undefined) return false
          Object.assign(entry.checkpoint, { position, attempts: 0 })
          entry.leases.run.fence++
          entry.leases.run.owner = null
          for (const at of entry.parked.keys()) if (at > position) entry.parked.delete(at)
          return true
        }),

      transaction: <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E | StorageError, R> => effect,
      outside: Function.identity
    }
  })
)

const lost = ({ consumer, task }: CheckpointStore.Lease) =>
  Effect.fail(new CheckpointStore.LeaseLost({ consumer, task }))

const sameResource = (one: Activity, other: Activity) =>
  one.resourceType === other.resourceType && one.resourceId === other.resourceId
