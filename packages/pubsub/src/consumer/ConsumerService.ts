import { Effect, Schedule, type Scope } from "effect"
import { withBackground } from "../runtime/Concurrently.js"
import { awaitChange, awaitPosition } from "./AwaitPosition.js"
import type { Checkpoint } from "./Checkpoints.js"
import { ConsumerContext, type Ports } from "./ConsumerContext.js"
import { ConsumerNotFound } from "./ConsumerError.js"
import { metricsOf } from "./ConsumerMetrics.js"
import type * as Consumer from "./ConsumerModel.js"
import { decodePosition, replaySettingsOf, type Settings, settingsOf } from "./ConsumerSettings.js"
import { failInOwnHandler } from "./CurrentHandler.js"
import { drainOnInterrupt, InFlight } from "./InFlight.js"
import { secondsOf } from "./LagReport.js"
import { Signal } from "./LocalSignals.js"
import { Outcomes } from "./Outcomes.js"
import { replayWithLease } from "./Replay.js"
import * as Run from "./Run.js"
import { retryUntilDeadline, retryWhileUnavailable } from "./StorageRetry.js"
import { Supervision } from "./Supervision.js"

/** Runs an effect until the service closes, which interrupts it and waits until it has ended. */
type WhileOpen = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

/**
 * Makes the service. When the scope closes, all runs are interrupted and release their leases, while the store is still
 * open.
 */
export const make = (ports: Ports): Effect.Effect<Consumer.Service, never, Scope.Scope> =>
  Effect.map(makeWhileOpen, (whileOpen) => {
    const context = new ConsumerContext(ports)
    const { parking } = context.store
    const supervision = new Supervision(context)
    const find = (name: string) => context.find(name)
    return {
      run: (options) => run(context, whileOpen, options),
      handleOnce: (options) => handleOnce(context, whileOpen, options),
      start: ({ fatal = false, ...options }) =>
        Effect.zipRight(
          register(context, options),
          Effect.forkScoped(supervision.supervise(options.name, fatal, run(context, whileOpen, options)))
        ),
      ready: supervision.ready,
      fatal: supervision.fatal,
      awaitPosition: (name, position, { epoch } = {}) => awaitPosition(context, name, position, epoch),
      lag: (name) => Effect.flatMap(find(name), (checkpoint) => lagOf(context, checkpoint)),
      list: Effect.flatMap(
        context.store.checkpoints.list,
        Effect.forEach((checkpoint) => lagOf(context, checkpoint))
      ),
      parked: (name, { after = 0, limit = Number.MAX_SAFE_INTEGER } = {}) =>
        Effect.all([find(name), decodePosition(after), decodePosition(limit)]).pipe(
          Effect.flatMap(([, after, limit]) => parking.list(name, after, limit))
        ),
      replay: (options) => replay(context, whileOpen, options),
      requestReplay: (name) => requestReplay(context, name),
      drop: (name, positions) =>
        Effect.all([find(name), Effect.forEach(positions ?? [], (n) => decodePosition(n))]).pipe(
          Effect.flatMap(([, checked]) => retryUntilDeadline(parking.drop(name, positions && checked)))
        ),
      reset: (name, position, { epoch } = {}) => reset(context, name, position, epoch)
    }
  })

const makeWhileOpen: Effect.Effect<WhileOpen, never, Scope.Scope> = Effect.gen(function*() {
  const closing = new Signal()
  const ended = new Signal()
  let running = 0
  const allEnded: Effect.Effect<void> = Effect.suspend(() =>
    running === 0 ? Effect.void : Effect.zipRight(ended.after(ended.count), allEnded)
  )
  yield* Effect.addFinalizer(() => Effect.zipRight(Effect.sync(closing.notify), allEnded))
  return (effect) =>
    Effect.acquireUseRelease(
      Effect.sync(() => running++),
      () => withBackground(effect, Effect.zipRight(closing.after(0), Effect.interrupt)),
      () =>
        Effect.sync(() => {
          running--
          ended.notify()
        })
    )
})

const register = <E, R>(context: ConsumerContext, options: Consumer.Options<E, R>) =>
  Effect.flatMap(settingsOf(options), (settings) => Run.register(context, settings, options)).pipe(
    context.orRestored,
    context.store.outside
  )

const run = <E, R>(context: ConsumerContext, whileOpen: WhileOpen, options: Consumer.Options<E, R>) =>
  Effect.flatMap(settingsOf(options), (settings) => {
    const outcomes = new Outcomes(metricsOf(settings.name))
    return runUpTo(context, whileOpen, options, settings, outcomes, Infinity)
  }).pipe(context.store.outside)

const runUpTo = <E, R>(
  context: ConsumerContext,
  whileOpen: WhileOpen,
  options: Consumer.Options<E, R>,
  settings: Settings<E, R>,
  outcomes: Outcomes,
  limit: number
) => {
  const signals = context.signalsOf(settings.name)
  const inFlight = new InFlight(settings.stopTimeout)
  const running = Run.run(context, settings, inFlight, options, outcomes, limit)
  return Effect.acquireUseRelease(
    Effect.sync(() => signals.runs++),
    () =>
      failInOwnHandler(settings.name, signals, ({ task }) => task === "run").pipe(
        Effect.zipRight(whileOpen(drainOnInterrupt(inFlight, running)))
      ),
    () =>
      Effect.sync(() => {
        signals.runs--
        signals.changed.notify()
      })
  )
}

/** A run that ends once the checkpoint has reached the head, by this run or another one. */
const handleOnce = <E, R>(context: ConsumerContext, whileOpen: WhileOpen, options: Consumer.Options<E, R>) =>
  Effect.gen(function*() {
    const settings = yield* settingsOf({ retry: Schedule.stop, ...options })
    yield* Run.register(context, settings, options)
    const position = yield* retryWhileUnavailable(context.journal.head)
    const outcomes = new Outcomes(metricsOf(settings.name))
    yield* withBackground(
      awaitPosition(context, settings.name, position, undefined),
      runUpTo(context, whileOpen, options, settings, outcomes, position)
    )
    return { handled: outcomes.handled, parked: outcomes.parked, position }
  }).pipe(context.orRestored, context.store.outside)

const replay = <E, R>(context: ConsumerContext, whileOpen: WhileOpen, options: Consumer.ReplayOptions<E, R>) =>
  Effect.flatMap(replaySettingsOf(options), (settings) => {
    const { name, stopTimeout } = settings
    const inFlight = new InFlight(stopTimeout)
    return failInOwnHandler(name, context.signalsOf(name), ({ task }) => task === "replay").pipe(
      Effect.zipRight(context.findInEpoch(name)),
      Effect.zipRight(drainOnInterrupt(
        inFlight,
        replayWithLease(context, settings, inFlight, (_, replayed) => Effect.succeed(replayed))
      ))
    )
  }).pipe(context.orRestored, whileOpen, context.store.outside)

const requestReplay = (context: ConsumerContext, name: string) =>
  Effect.gen(function*() {
    const signals = context.signalsOf(name)
    yield* failInOwnHandler(name, signals, ({ task }) => task === "replay")
    yield* context.findInEpoch(name)
    const request = yield* Effect.flatMap(
      retryWhileUnavailable(context.store.parking.requestReplay(name)),
      Effect.mapError(() => new ConsumerNotFound({ consumer: name }))
    )
    signals.requested.notify()
    while (true) {
      const changes = signals.changed.count
      if ((yield* context.replaysOf(name)).done >= request) return
      yield* awaitChange(signals, changes)
    }
  }).pipe(context.orRestored, context.store.outside)

const reset = (context: ConsumerContext, name: string, position: number, epoch: string | undefined) =>
  Effect.flatMap(
    context.checkPosition(position, epoch),
    (position) => retryUntilDeadline(context.store.checkpoints.reset(name, position))
  ).pipe(
    context.orRestored,
    Effect.filterOrFail((found) => found, () => new ConsumerNotFound({ consumer: name })),
    Effect.map(() => {
      const signals = context.signalsOf(name)
      signals.revoked.notify()
      signals.changed.notify()
    })
  )

const lagOf = ({ store }: ConsumerContext, { filter, ...checkpoint }: Checkpoint) =>
  Effect.gen(function*() {
    const backlog = yield* store.checkpoints.backlog(checkpoint.position, filter)
    const seconds = yield* secondsOf(backlog)
    return { ...checkpoint, status: statusOf(checkpoint), activities: backlog.activities, seconds }
  })

/** Only a halted consumer has failed attempts and no owner. */
const statusOf = ({ attempts, owner }: Omit<Checkpoint, "filter">): Consumer.Status => {
  if (owner === null) return attempts === 0 ? "stopped" : "halted"
  return attempts === 0 ? "running" : "retrying"
}
