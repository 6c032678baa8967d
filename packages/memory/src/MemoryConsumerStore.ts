/** Stores consumers in memory. */
import { type Activity, type Position, Query, type StorageError } from "@caravel/domain"
import { currentInstant, resourceKey } from "@caravel/domain/adapter"
import { ConsumerStore } from "@caravel/pubsub"
import { Array as Arr, type DateTime, Effect, Function, Layer, Option, Order } from "effect"
import { Store } from "./internal/Store.js"

type Mutable<A> = { -readonly [Field in keyof A]: A[Field] }

interface Entry {
  readonly checkpoint: Mutable<Omit<ConsumerStore.Checkpoint, "owner" | "parked">>
  readonly leases: { readonly [Task in ConsumerStore.Task]: Mutable<ConsumerStore.Holding> }
  readonly parked: Map<Position, Mutable<ConsumerStore.Parked>>
  readonly replays: Mutable<ConsumerStore.Replays>
}

/** All consumers, by name. */
type Entries = Map<string, Entry>

/**
 * A store whose consumers end with the layer. Memory has no transactions: the writes of a transactional handler that
 * fails are not rolled back, but the checkpoint moves only past activities that were handled.
 */
export const layer: Layer.Layer<ConsumerStore.ConsumerStore, never, Query | Store> = Layer.effect(
  ConsumerStore.ConsumerStore,
  Effect.zipWith(Query, Store, (query, store) => {
    const entries: Entries = new Map()
    return {
      checkpoints: checkpoints(entries, query, store),
      leases: leases(entries),
      parking: parking(entries),
      transaction: <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E | StorageError, R> => effect,
      outside: Function.identity
    }
  })
)

const checkpoints = (
  entries: Entries,
  query: typeof Query.Service,
  { start: { epoch } }: typeof Store.Service
): ConsumerStore.Checkpoints => ({
  register: (name, position, filter) =>
    Effect.sync(() => {
      const entry = entries.get(name)
      if (entry !== undefined) {
        entry.checkpoint.filter = filter
        return
      }
      const never = { attempts: 0, failedPosition: null, lastError: null, progressedAt: null }
      entries.set(name, {
        checkpoint: { name, position, epoch, filter, ...never },
        leases: {
          run: { fence: 0, heartbeat: 0, owner: null },
          replay: { fence: 0, heartbeat: 0, owner: null }
        },
        parked: new Map(),
        replays: { requested: 0, done: 0 }
      })
    }),
  find: (name) => Effect.sync(() => Option.map(Option.fromNullable(entries.get(name)), checkpointOf)),
  list: Effect.sync(() =>
    Arr.sortWith(Arr.map(Arr.fromIterable(entries.values()), checkpointOf), ({ name }) => name, Order.string)
  ),
  backlog: (after, filter) =>
    query.activity({ ...filter, after }).pipe(
      Effect.catchTag("ParseError", Effect.die),
      Effect.map((activities) => ({ activities: activities.length, since: activities[0]?.createdAt ?? null }))
    ),
  move: (lease, from, to) =>
    Effect.flatten(fenced(entries, lease, ({ checkpoint }, now) => {
      if (checkpoint.position !== from && checkpoint.position !== to) return lost(lease)
      checkpoint.position = to
      checkpoint.progressedAt = now
      if (checkpoint.failedPosition !== null && checkpoint.failedPosition <= to) checkpoint.attempts = 0
      return Effect.void
    })),
  recordFailure: (lease, position, attempts, error) =>
    fenced(entries, lease, ({ checkpoint }) => {
      Object.assign(checkpoint, { failedPosition: position, attempts, lastError: error })
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
    })
})

const checkpointOf = ({ checkpoint, leases, parked }: Entry): ConsumerStore.Checkpoint => ({
  ...checkpoint,
  owner: leases.run.owner,
  parked: parked.size
})

const leases = (entries: Entries): ConsumerStore.Leases => ({
  holding: (name, task) =>
    Effect.sync(() => Option.map(Option.fromNullable(entries.get(name)), ({ leases }) => ({ ...leases[task] }))),
  acquire: (name, task, seen, owner) =>
    Effect.sync(() => {
      const holding = entries.get(name)?.leases[task]
      if (holding?.fence !== seen.fence || holding.heartbeat !== seen.heartbeat) return Option.none()
      holding.owner = owner
      return Option.some({ consumer: name, task, fence: ++holding.fence })
    }),
  renew: (lease) => fenced(entries, lease, Function.constVoid),
  release: (lease) =>
    Effect.sync(() => {
      const holding = entries.get(lease.consumer)?.leases[lease.task]
      if (holding?.fence === lease.fence) holding.owner = null
    })
})

/** Renews a lease and writes, or fails with `LeaseLost`. */
const fenced = <A>(
  entries: Entries,
  lease: ConsumerStore.Lease,
  write: (entry: Entry, now: DateTime.Utc) => A
): ConsumerStore.Fenced<A> =>
  Effect.flatMap(currentInstant, (now) => {
    const entry = entries.get(lease.consumer)
    const holding = entry?.leases[lease.task]
    if (entry === undefined || holding?.fence !== lease.fence || holding.owner === null) return lost(lease)
    holding.heartbeat++
    return Effect.succeed(write(entry, now))
  })

const lost = ({ consumer, task }: ConsumerStore.Lease) => Effect.fail(new ConsumerStore.LeaseLost({ consumer, task }))

const parking = (entries: Entries): ConsumerStore.Parking => {
  const listOf = (name: string) =>
    Arr.sortWith(entries.get(name)?.parked.values() ?? [], ({ activity }) => activity.position, Order.number)
  const replaysOf = (name: string) => Option.map(Option.fromNullable(entries.get(name)), ({ replays }) => replays)

  return {
    park: (lease, activities) =>
      fenced(entries, lease, ({ parked }, now) => {
        const failed = activities.filter(({ attempts }) => attempts > 0)
        const blocked = new Set([...parked.values(), ...failed].map(({ activity }) => resourceKey(activity)))
        const free: Array<Activity> = []
        for (const { activity, attempts, error } of activities) {
          if (!blocked.has(resourceKey(activity))) {
            free.push(activity)
            continue
          }
          const row = parked.get(activity.position)
          if (row === undefined) parked.set(activity.position, { activity, attempts, error, parkedAt: now })
          else if (attempts > 0) Object.assign(row, { attempts, error })
        }
        return free
      }),
    recordFailure: (lease, position, attempts, error) =>
      fenced(entries, lease, ({ parked }) => {
        const row = parked.get(position)
        if (row !== undefined) Object.assign(row, { attempts: row.attempts + attempts, error })
      }),
    unpark: (lease, position) => fenced(entries, lease, ({ parked }) => parked.delete(position)),
    settled: () => Effect.void,

    list: (name, after, limit) =>
      Effect.sync(() =>
        listOf(name).filter(({ activity }) => activity.position > after).slice(0, limit).map((row) => ({ ...row }))
      ),
    isParkedBefore: (name, activity) =>
      Effect.sync(() =>
        listOf(name).some((row) =>
          resourceKey(row.activity) === resourceKey(activity) && row.activity.position < activity.position
        )
      ),
    resources: (name) => Effect.sync(() => listOf(name).map(({ activity }) => activity)),
    drop: (name, positions) =>
      Effect.sync(() => {
        const parked = entries.get(name)?.parked ?? new Map<Position, ConsumerStore.Parked>()
        return (positions ?? [...parked.keys()]).filter((position) => parked.delete(position)).length
      }),

    requestReplay: (name) => Effect.sync(() => Option.map(replaysOf(name), (replays) => ++replays.requested)),
    replays: (name) => Effect.sync(() => Option.map(replaysOf(name), (replays) => ({ ...replays }))),
    completeReplays: (lease, count) =>
      fenced(entries, lease, ({ replays }) => {
        replays.done = Math.max(replays.done, count)
      })
  }
}
