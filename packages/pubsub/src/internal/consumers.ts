import {
  checkEpoch,
  checkPosition,
  currentInstant,
  type Journal,
  NonEmptyText,
  Position,
  type PositionFromOtherEpoch,
  type Query,
  StorageError
} from "@caravel/domain"
import { type Cause, DateTime, Duration, Effect, Option, type ParseResult, Schedule, Schema, type Scope } from "effect"
import { type Checkpoint, type CheckpointStore, Filter, type Lease, type LeaseLost } from "../CheckpointStore.js"
import { ConsumerNotFound } from "../ConsumerError.js"
import type * as Consumer from "../ConsumerModel.js"
import type { Tail } from "../Tail.js"
import { beside } from "./beside.js"
import { Blocked } from "./Blocked.js"
import { concurrent } from "./concurrent.js"
import { type Held, withLease } from "./Held.js"
import { Local, Signal } from "./Local.js"
import { patiently } from "./patiently.js"
import { Progress } from "./Progress.js"
import { type Replay, replay, type Replayed } from "./replay.js"
import { sequential } from "./sequential.js"
import { Session, type Settings } from "./Session.js"

interface Ports {
  readonly store: typeof CheckpointStore.Service
  readonly journal: typeof Journal.Service
  readonly query: typeof Query.Service
  readonly tail: typeof Tail.Service
}

const decodeName = Schema.decode(NonEmptyText)
const decodeFilter = Schema.decode(Filter)
const decodePosition = Schema.decode(Position)

/** Six attempts within about three seconds. */
const untilExhausted: Schedule.Schedule<unknown, Cause.Cause<unknown>> = Schedule.exponential("100 millis").pipe(
  Schedule.jittered,
  Schedule.intersect(Schedule.recurs(5))
)

const defaultLease = "10 seconds"

type Restored = StorageError | PositionFromOtherEpoch

/** How often another process's checkpoint is looked at by who waits for it. */
const poll = "50 millis"

/** How often a consumer that runs looks whether another process has requested a replay. */
const replayPoll = "1 second"

/** The service over its ports. When its scope ends, so does whatever runs: leases are given back while that can be done. */
export const make = (ports: Ports): Effect.Effect<Consumer.Service, never, Scope.Scope> =>
  Effect.gen(function*() {
    const closing = new Signal()
    const ended = new Signal()
    let running = 0
    const closed: Effect.Effect<void> = Effect.suspend(() =>
      running === 0 ? Effect.void : Effect.zipRight(ended.beyond(ended.count), closed)
    )
    yield* Effect.addFinalizer(() => Effect.zipRight(Effect.sync(closing.notify), closed))
    return service(ports, (effect) =>
      Effect.acquireUseRelease(
        Effect.sync(() => running++),
        () => beside(effect, Effect.zipRight(closing.beyond(0), Effect.interrupt)),
        () =>
          Effect.sync(() => {
            running--
            ended.notify()
          })
      ))
  })

const service = (
  { journal, query, store, tail }: Ports,
  whileOpen: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
): Consumer.Service => {
  const locals = new Map<string, Local>()
  const localOf = (name: string): Local => {
    const local = locals.get(name) ?? new Local()
    locals.set(name, local)
    return local
  }

  const unchanged = Effect.flatMap(tail.position, tail.unchanged)

  /** A write that a restored database refuses fails with what that means to who holds a position. */
  const orRestored = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E | Restored, R> =>
    Effect.tapError(
      effect,
      (error) => error instanceof StorageError && error.reason === "replaced" ? unchanged : Effect.void
    )

  const find = (name: string): Effect.Effect<Checkpoint, StorageError | ConsumerNotFound> =>
    Effect.flatMap(patiently(store.find(name)), Effect.mapError(() => new ConsumerNotFound({ name })))

  /**
   * The same, if the journal was not restored since it was made or reset, and does not end before it: it may have done what no
   * longer happened.
   */
  const findHere = (name: string): Effect.Effect<Checkpoint, Restored | ConsumerNotFound> =>
    Effect.tap(find(name), ({ epoch, position }) =>
      patiently(Effect.zipRight(
        checkEpoch(journal, position, epoch),
        Effect.catchTag(checkPosition(journal, position, epoch), "ParseError", Effect.die)
      )))

  /** What a consumer does from the moment it has its lease. */
  const work = <E, R>(settings: Settings<E, R>, held: Held) =>
    Effect.gen(function*() {
      const { concurrency, name, onFailure, transactional } = settings
      const local = localOf(name)
      const { position } = yield* find(name)
      const blocked = new Blocked(
        onFailure === "parkResource" ? yield* patiently(store.parkedResources(name)) : []
      )
      const progress = new Progress(position, local)
      const session = new Session({ settings, store, query, tail, held, progress, blocked })
      local.progress = progress
      return yield* beside(
        concurrency > 1 && !transactional ? concurrent(session) : sequential(session),
        session.flushing
      ).pipe(Effect.ensuring(session.close))
    })

  const replayHolding = <A, E, R>(
    name: string,
    leaseDuration: Duration.Duration,
    options: Replay<E, R>,
    then: (lease: Lease, replayed: Replayed) => Effect.Effect<A, StorageError | LeaseLost>
  ) =>
    withLease(
      { store, local: localOf(name), name, task: "replay", leaseDuration },
      (held) => Effect.flatMap(replay(store, held, options), (replayed) => then(held.lease, replayed))
    ).pipe(
      Effect.retry({ while: (error) => error._tag === "LeaseLost" }),
      Effect.catchTag("LeaseLost", Effect.die)
    )

  const replaysOf = (name: string) =>
    Effect.flatMap(
      patiently(Effect.zipLeft(store.replays(name), unchanged)),
      Effect.mapError(() => new ConsumerNotFound({ name }))
    )

  /** Does the replays that others request, who do not have the handler. */
  const replaying = <E, R>({ handle, name, transactional }: Settings<E, R>, leaseDuration: Duration.Duration) => {
    const local = localOf(name)
    return Effect.forever(Effect.gen(function*() {
      const requests = local.requested.count
      const { done, requested } = yield* replaysOf(name)
      if (requested === done) {
        return yield* Effect.raceFirst(local.requested.beyond(requests), Effect.sleep(replayPoll))
      }
      yield* replayHolding(
        name,
        leaseDuration,
        { handle, retry: Schedule.stop, transactional },
        (lease) => patiently(store.replayed(lease, requested))
      )
      local.changed.notify()
    }))
  }

  const beginning = <E, R>({ epoch, from }: Consumer.Options<E, R>) =>
    from === "now"
      ? patiently(journal.head)
      : from === "beginning"
      ? Effect.succeed(Position.make(0))
      : patiently(checkPosition(journal, from, epoch))

  const run = <E, R>(options: Consumer.Options<E, R>) =>
    Effect.gen(function*() {
      const name = yield* decodeName(options.name)
      const filter = yield* decodeFilter(options.filter ?? {})
      const from = yield* findHere(name).pipe(
        Effect.map(({ position }) => position),
        Effect.catchTag("ConsumerNotFound", () => beginning(options))
      )
      const settings: Settings<E, R> = {
        name,
        filter,
        handle: options.handle,
        retry: options.retry ?? untilExhausted,
        onFailure: options.onFailure ?? "halt",
        transactional: options.transactional ?? false,
        concurrency: options.concurrency ?? 1
      }
      yield* patiently(store.register(name, from, filter))
      const leaseDuration = Duration.decode(options.leaseDuration ?? defaultLease)
      return yield* withLease(
        { store, local: localOf(name), name, task: "run", leaseDuration },
        (held) => beside(work(settings, held), replaying(settings, leaseDuration))
      ).pipe(Effect.retry({ while: (error) => error._tag === "LeaseLost" }))
    }).pipe(
      // It has just been made, and is never removed, unless the journal is restored.
      Effect.catchTags({
        ConsumerNotFound: (error) => Effect.zipRight(unchanged, Effect.die(error)),
        LeaseLost: Effect.die
      }),
      orRestored,
      whileOpen,
      store.outside
    )

  const lagOf = (checkpoint: Checkpoint): Effect.Effect<Consumer.Lag, StorageError> =>
    Effect.gen(function*() {
      const { filter, ...rest } = checkpoint
      const { activities, since } = yield* store.backlog(checkpoint.position, filter)
      const now = yield* currentInstant
      const seconds = since === null ? 0 : Math.max(0, DateTime.distance(since, now) / 1000)
      return { ...rest, activities, seconds }
    })

  const awaitPosition = (
    name: string,
    position: number,
    { epoch }: { readonly epoch?: string | undefined } = {}
  ): Effect.Effect<void, Restored | ParseResult.ParseError> =>
    Effect.flatMap(patiently(checkPosition(journal, position, epoch)), (position) => {
      const local = localOf(name)
      const reached: Effect.Effect<void, Restored> = Effect.suspend(() => {
        const changes = local.changed.count
        const found = patiently(Effect.zipLeft(store.find(name), tail.unchanged(position)))
        return Effect.flatMap(found, (checkpoint) => {
          if (Option.exists(checkpoint, (checkpoint) => checkpoint.position >= position)) return Effect.void
          local.progress?.check()
          return Effect.zipRight(Effect.raceFirst(local.changed.beyond(changes), Effect.sleep(poll)), reached)
        })
      })
      return Effect.acquireUseRelease(
        Effect.sync(() => {
          const awaited = { position }
          local.awaited.add(awaited)
          return awaited
        }),
        () => reached,
        (awaited) => Effect.sync(() => local.awaited.delete(awaited))
      )
    }).pipe(store.outside)

  return {
    run,
    awaitPosition,
    lag: (name) => Effect.flatMap(find(name), lagOf),
    list: Effect.flatMap(store.list, Effect.forEach(lagOf)),
    parked: (name, { after = 0, limit = Number.MAX_SAFE_INTEGER } = {}) =>
      Effect.zipWith(find(name), decodePosition(after), (_, after) => store.parked(name, after, limit)).pipe(
        Effect.flatten
      ),
    replay: ({ handle, leaseDuration = defaultLease, name, retry = Schedule.stop, transactional = false }) =>
      Effect.zipRight(
        findHere(name),
        replayHolding(
          name,
          Duration.decode(leaseDuration),
          { handle, retry, transactional },
          (_, replayed) => Effect.succeed(replayed)
        )
      ).pipe(orRestored, whileOpen, store.outside),
    requestReplay: (name) =>
      Effect.gen(function*() {
        const local = localOf(name)
        yield* findHere(name)
        const request = yield* Effect.flatMap(
          patiently(store.requestReplay(name)),
          Effect.mapError(() => new ConsumerNotFound({ name }))
        )
        local.requested.notify()
        while (true) {
          const changes = local.changed.count
          if ((yield* replaysOf(name)).done >= request) return
          yield* Effect.raceFirst(local.changed.beyond(changes), Effect.sleep(poll))
        }
      }).pipe(orRestored, store.outside),
    drop: (name, positions) =>
      Effect.zipRight(
        find(name),
        positions === undefined
          ? store.drop(name)
          : Effect.flatMap(Effect.forEach(positions, (n) => decodePosition(n)), (positions) =>
            store.drop(name, positions))
      ),
    reset: (name, position, { epoch } = {}) =>
      Effect.flatMap(checkPosition(journal, position, epoch), (position) => store.reset(name, position)).pipe(
        orRestored,
        Effect.filterOrFail((found) => found, () => new ConsumerNotFound({ name })),
        Effect.map(() => {
          localOf(name).revoked.notify()
          localOf(name).changed.notify()
        })
      )
  }
}
