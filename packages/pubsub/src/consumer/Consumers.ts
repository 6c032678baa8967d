import {
  checkEpoch,
  checkPosition,
  currentInstant,
  type Journal,
  Position,
  type PositionFromOtherEpoch,
  type Query,
  StorageError
} from "@caravel/domain"
import { DateTime, Effect, Option, Schedule, type Scope } from "effect"
import { sleep } from "../runtime/Waiting.js"
import type { Tail } from "../tail/Tail.js"
import { awaiting, change } from "./Awaiting.js"
import { beside } from "./Beside.js"
import { Blocked } from "./Blocked.js"
import { concurrent } from "./Concurrent.js"
import { ConsumerNotFound } from "./ConsumerError.js"
import type * as Consumer from "./ConsumerModel.js"
import type { Checkpoint, ConsumerStore, Lease, LeaseLost } from "./ConsumerStore.js"
import { Handling, unlessOwn } from "./Handling.js"
import { type Held, withLease } from "./Held.js"
import { drained, InFlight } from "./InFlight.js"
import { Local, Signal } from "./Local.js"
import { patiently, withinDeadline } from "./Patiently.js"
import { Progress } from "./Progress.js"
import { replay, type Replayed } from "./Replay.js"
import { sequential } from "./Sequential.js"
import { Session } from "./Session.js"
import { decodePosition, type ReplaySettings, replaySettingsOf, type Settings, settingsOf } from "./Settings.js"

interface Ports {
  readonly store: typeof ConsumerStore.Service
  readonly journal: typeof Journal.Service
  readonly query: typeof Query.Service
  readonly tail: typeof Tail.Service
}

type Restored = StorageError | PositionFromOtherEpoch

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
    Effect.flatMap(
      patiently(store.checkpoints.find(name)),
      Effect.mapError(() => new ConsumerNotFound({ consumer: name }))
    )

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
  const work = <E, R>(settings: Settings<E, R>, held: Held, inFlight: InFlight) =>
    Effect.gen(function*() {
      const { concurrency, name, onFailure, transactional } = settings
      const local = localOf(name)
      const { position } = yield* find(name)
      const blocked = new Blocked(
        onFailure === "parkResource" ? yield* patiently(store.parking.resources(name)) : []
      )
      const progress = new Progress(position, local)
      const session = new Session({ settings, store, query, tail, held, progress, blocked, inFlight })
      // In a transaction, what has been handled in it is not written before all of it is.
      const canReach = (position: Position) => position <= (transactional ? progress.written : progress.position)
      return yield* Effect.acquireUseRelease(
        Effect.sync(() => local.progress = progress),
        () =>
          beside(
            concurrency > 1 && !transactional ? concurrent(session) : sequential(session),
            session.flushing
          ).pipe(Effect.provideService(Handling, Option.some({ local, task: "run", canReach }))),
        () => Effect.zipRight(session.close, Effect.sync(() => local.progress = undefined))
      )
    })

  const replayHolding = <A, E, R>(
    settings: ReplaySettings<E, R>,
    inFlight: InFlight,
    then: (lease: Lease, replayed: Replayed) => Effect.Effect<A, StorageError | LeaseLost>
  ) => {
    const { leaseDuration, name, transactional } = settings
    const local = localOf(name)
    // In SQLite's transaction, nothing else can be written.
    const handling = Option.some({ local, task: "replay" as const, canReach: () => !transactional })
    return withLease(
      { store, local, name, task: "replay", leaseDuration },
      (held) =>
        replay(store, held, inFlight, settings).pipe(
          Effect.provideService(Handling, handling),
          Effect.flatMap((replayed) => then(held.lease, replayed))
        )
    ).pipe(
      Effect.retry({ while: (error) => error._tag === "LeaseLost" }),
      Effect.catchTag("LeaseLost", Effect.die)
    )
  }

  const replaysOf = (name: string) =>
    Effect.flatMap(
      patiently(Effect.zipLeft(store.parking.replays(name), unchanged)),
      Effect.mapError(() => new ConsumerNotFound({ consumer: name }))
    )

  /** Does the replays that others request, who do not have the handler. */
  const replaying = <E, R>(settings: Settings<E, R>, inFlight: InFlight) => {
    const { name } = settings
    const local = localOf(name)
    return Effect.forever(Effect.gen(function*() {
      const requests = local.requested.count
      const { done, requested } = yield* replaysOf(name)
      // In a damaged database more may be done than was requested.
      if (requested <= done) {
        return yield* Effect.raceFirst(local.requested.beyond(requests), sleep(replayPoll))
      }
      yield* replayHolding(
        { ...settings, retry: Schedule.stop },
        inFlight,
        (lease) => patiently(store.parking.completeReplays(lease, requested))
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

  const running = <E, R>(settings: Settings<E, R>, inFlight: InFlight, options: Consumer.Options<E, R>) =>
    Effect.gen(function*() {
      const { filter, leaseDuration, name } = settings
      const from = yield* findHere(name).pipe(
        Effect.map(({ position }) => position),
        Effect.catchTag("ConsumerNotFound", () => beginning(options))
      )
      yield* withinDeadline(store.checkpoints.register(name, from, filter))
      return yield* withLease(
        { store, local: localOf(name), name, task: "run", leaseDuration },
        (held) => beside(work(settings, held, inFlight), replaying(settings, inFlight))
      ).pipe(Effect.retry({ while: (error) => error._tag === "LeaseLost" && !inFlight.stopping }))
    }).pipe(
      // It has just been made, and is never removed, unless the journal is restored.
      Effect.catchTags({
        ConsumerNotFound: (error) => Effect.zipRight(unchanged, Effect.die(error)),
        // Only when it is about to be interrupted.
        LeaseLost: () => Effect.never
      }),
      orRestored
    )

  const run = <E, R>(options: Consumer.Options<E, R>) =>
    Effect.flatMap(settingsOf(options), (settings) => {
      const local = localOf(settings.name)
      const inFlight = new InFlight(settings.stopTimeout)
      return Effect.acquireUseRelease(
        Effect.sync(() => local.runs++),
        () =>
          unlessOwn(settings.name, local, ({ task }) => task === "run").pipe(
            Effect.zipRight(whileOpen(drained(inFlight, running(settings, inFlight, options))))
          ),
        () =>
          Effect.sync(() => {
            local.runs--
            local.changed.notify()
          })
      )
    }).pipe(store.outside)

  const lagOf = (checkpoint: Checkpoint): Effect.Effect<Consumer.Lag, StorageError> =>
    Effect.gen(function*() {
      const { filter, ...rest } = checkpoint
      const { activities, since } = yield* store.checkpoints.backlog(checkpoint.position, filter)
      const now = yield* currentInstant
      const seconds = since === null ? 0 : Math.max(0, DateTime.distance(since, now) / 1000)
      return { ...rest, activities, seconds }
    })

  return {
    run,
    awaitPosition: awaiting({ store, journal, tail }, localOf),
    lag: (name) => Effect.flatMap(find(name), lagOf),
    list: Effect.flatMap(store.checkpoints.list, Effect.forEach(lagOf)),
    parked: (name, { after = 0, limit = Number.MAX_SAFE_INTEGER } = {}) =>
      Effect.all([find(name), decodePosition(after), decodePosition(limit)]).pipe(
        Effect.flatMap(([, after, limit]) => store.parking.list(name, after, limit))
      ),
    replay: (options) =>
      Effect.flatMap(replaySettingsOf(options), (settings) => {
        const { name, stopTimeout } = settings
        const inFlight = new InFlight(stopTimeout)
        return unlessOwn(name, localOf(name), ({ task }) => task === "replay").pipe(
          Effect.zipRight(findHere(name)),
          Effect.zipRight(drained(
            inFlight,
            replayHolding(settings, inFlight, (_, replayed) => Effect.succeed(replayed))
          ))
        )
      }).pipe(orRestored, whileOpen, store.outside),
    requestReplay: (name) =>
      Effect.gen(function*() {
        const local = localOf(name)
        yield* unlessOwn(name, local, ({ task }) => task === "replay")
        yield* findHere(name)
        const request = yield* Effect.flatMap(
          patiently(store.parking.requestReplay(name)),
          Effect.mapError(() => new ConsumerNotFound({ consumer: name }))
        )
        local.requested.notify()
        while (true) {
          const changes = local.changed.count
          if ((yield* replaysOf(name)).done >= request) return
          yield* change(local, changes)
        }
      }).pipe(orRestored, store.outside),
    drop: (name, positions) =>
      Effect.zipRight(
        find(name),
        positions === undefined
          ? withinDeadline(store.parking.drop(name))
          : Effect.flatMap(Effect.forEach(positions, (n) => decodePosition(n)), (positions) =>
            withinDeadline(store.parking.drop(name, positions)))
      ),
    reset: (name, position, { epoch } = {}) =>
      Effect.flatMap(
        checkPosition(journal, position, epoch),
        (position) => withinDeadline(store.checkpoints.reset(name, position))
      )
        .pipe(
          orRestored,
          Effect.filterOrFail((found) => found, () => new ConsumerNotFound({ consumer: name })),
          Effect.map(() => {
            localOf(name).revoked.notify()
            localOf(name).changed.notify()
          })
        )
  }
}
