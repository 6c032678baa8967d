/**
 * A run of a consumer as a state machine.
 *
 * ```text
 *   Registering ──▶ WaitingForLease ──▶ HoldingLease ──▶ Halted, or failed: the run ends
 *                         ▲                  │
 *                         └─── LeaseLost ────┘
 * ```
 *
 * In every state, an interruption leads to Stopping (`InFlight`): no further handler starts, and handlers in progress
 * may end within `stopTimeout`. Then everything is interrupted and the lease is released.
 *
 * While the lease is held, `handling` handles activities in batches, `flushing` writes the checkpoint, and `replaying`
 * replays parked activities on request. Handling has its own states:
 *
 * | state         | what happens                                  | next                                                        |
 * | ------------- | --------------------------------------------- | ----------------------------------------------------------- |
 * | Reading       | waits for a batch of activities               | EnsuringLease                                               |
 * | EnsuringLease | renews the lease if it may have expired       | Handling; LeaseLost                                         |
 * | Handling      | runs handlers until the end of the batch; if  | Reading; Extending or ParkingBehind if some wait to be      |
 * |               | a call with several activities fails, handles | parked; Failed; EnsuringLease if the lease may have expired |
 * |               | them one by one                               |                                                             |
 * | Failed        | records the failure, waits to retry, or puts  | EnsuringLease, to retry or to continue behind it; Halted    |
 * |               | the activity aside: `flushing` parks it       |                                                             |
 * | Extending     | adds the activities that follow to the batch, | EnsuringLease; ParkingBehind if there are none yet          |
 * |               | so that more can be parked together           |                                                             |
 * | ParkingBehind | parks activities whose resource has parked    | Reading; EnsuringLease to continue the batch, or with those |
 * |               | ones                                          | that are free again                                         |
 */
import { Position } from "@caravel/domain"
import { Cause, Effect, Exit, Option, Schedule } from "effect"
import { concurrently, withBackground } from "../runtime/Concurrently.js"
import { sleep, Waiting } from "../runtime/Waiting.js"
import { Attempts } from "./Attempts.js"
import type { Batch, Handle } from "./Batch.js"
import { type Batches, pages, partitions } from "./Batches.js"
import { BlockedResources } from "./BlockedResources.js"
import type { Checkpoint } from "./Checkpoints.js"
import type { ConsumerContext } from "./ConsumerContext.js"
import type { ConsumerHalted } from "./ConsumerError.js"
import type { Options } from "./ConsumerModel.js"
import type { Settings } from "./ConsumerSettings.js"
import { ConsumerSpans } from "./ConsumerSpans.js"
import { CurrentHandler } from "./CurrentHandler.js"
import { directly } from "./DirectHandling.js"
import { type HeldLease, withLease } from "./HeldLease.js"
import type { InFlight } from "./InFlight.js"
import { reportLag } from "./LagReport.js"
import type { Outcomes } from "./Outcomes.js"
import { Progress } from "./Progress.js"
import { replayWithLease } from "./Replay.js"
import { type RunEnd, Session } from "./Session.js"
import { retryUntilDeadline, retryWhileUnavailable } from "./StorageRetry.js"
import { inTransactions } from "./TransactionalHandling.js"

/** How often a running consumer polls for replays that other processes have requested. */
const replayPoll = "1 second"

/** Registers a consumer, and handles its activities up to a position whenever it holds the lease. */
export const run = <E, R>(
  context: ConsumerContext,
  settings: Settings<E, R>,
  inFlight: InFlight,
  options: Options<E, R>,
  outcomes: Outcomes,
  limit: number
) =>
  Effect.gen(function*() {
    const { failIfRestored, orRestored, store } = context
    const { leaseDuration, name } = settings
    const signals = context.signalsOf(name)
    const spans = yield* ConsumerSpans.make(name, context.journal)
    const handleBatch = settings.handleBatch && spans.handler(settings.handleBatch)
    const spanned = { ...settings, handle: spans.handler(settings.handle), handleBatch }

    const holdingLease = (held: HeldLease) =>
      withBackground(
        working({ context, settings: spanned, held, inFlight, outcomes, spans, limit }),
        replaying(context, settings, inFlight)
      )

    return yield* register(context, settings, options).pipe(
      Effect.zipRight(
        withLease({ store, signals, name, task: "run", leaseDuration }, holdingLease).pipe(
          Effect.tapErrorTag("LeaseLost", () => leaseLost(name, spans)),
          Effect.retry({ while: (error) => error._tag === "LeaseLost" && !inFlight.stopping })
        )
      ),
      Effect.catchTags({
        // The consumer was just registered, so it is missing only if the journal was restored.
        ConsumerNotFound: (error) => Effect.zipRight(failIfRestored, Effect.die(error)),
        // The run is stopping: it halts, or is about to be interrupted.
        LeaseLost: (): Effect.Effect<never, ConsumerHalted> => inFlight.halted ?? Effect.never
      }),
      orRestored
    )
  })

/** Registers a consumer that has never run. Fails if the journal was restored since it was registered. */
export const register = <E, R>(
  context: ConsumerContext,
  { filter, name }: Settings<E, R>,
  { epoch, from }: Options<E, R>
) =>
  Effect.gen(function*() {
    const start = from === "now"
      ? retryWhileUnavailable(context.journal.head)
      : from === "beginning"
      ? Effect.succeed(Position.make(0))
      : retryWhileUnavailable(context.checkPosition(from, epoch))
    const position = yield* context.findInEpoch(name).pipe(
      Effect.map(({ position }: Checkpoint) => position),
      Effect.catchTag("ConsumerNotFound", () => start)
    )
    yield* retryUntilDeadline(context.store.checkpoints.register(name, position, filter))
  })

/** Handles activities and writes the checkpoint, while the lease is held. */
const working = <E, R>(run: {
  readonly context: ConsumerContext
  readonly settings: Settings<E, R>
  readonly held: HeldLease
  readonly inFlight: InFlight
  readonly outcomes: Outcomes
  readonly spans: ConsumerSpans
  readonly limit: number
}) =>
  Effect.gen(function*() {
    const { context, outcomes, settings, spans } = run
    const { query, store, tail } = context
    const { filter, name, onFailure, transactional } = settings
    const signals = context.signalsOf(name)
    const checkpoint = yield* context.find(name)
    const { position } = checkpoint
    const blocked = new BlockedResources(
      onFailure === "parkResource" ? yield* retryWhileUnavailable(store.parking.resources(name)) : []
    )
    const progress = new Progress(position, signals)
    const session = new Session({ ...run, clock: yield* Waiting, store, query, tail, checkpoint, progress, blocked })
    // In a transaction, handled activities are written only when the whole transaction is committed.
    const canReach = (position: Position) => position <= (transactional ? progress.written : progress.position)
    const begin = Effect.sync(() => {
      signals.progress = progress
      outcomes.onAcquired()
    })
    const end = (exit: Exit.Exit<never, RunEnd>) =>
      Effect.zipRight(
        session.close,
        Effect.sync(() => {
          // Another run of this process may have acquired the lease.
          if (signals.progress === progress) signals.progress = undefined
          outcomes.onReleased(Exit.isFailure(exit) && Option.exists(Cause.failureOption(exit.cause), isHalted))
        })
      )
    return yield* Effect.acquireUseRelease(
      begin,
      () =>
        withBackground(handling(session), session.flushing).pipe(
          Effect.provideService(CurrentHandler, Option.some({ signals, task: "run", canReach })),
          (working) =>
            withBackground(
              working,
              reportLag(context, outcomes.metrics, Effect.sync(() => ({ position: progress.position, filter })))
            ),
          (working) => Effect.zipRight(leaseAcquired(name, position, spans), working)
        ),
      (_, exit) => end(exit)
    )
  })

const isHalted = (error: RunEnd) => error._tag === "ConsumerHalted"

const leaseAcquired = (consumer: string, position: Position, spans: ConsumerSpans) =>
  Effect.logInfo(`Consumer ${consumer} holds its lease, and continues after position ${position}`).pipe(
    Effect.annotateLogs({ consumer }),
    spans.around("leaseAcquired")
  )

const leaseLost = (consumer: string, spans: ConsumerSpans) =>
  Effect.logWarning(
    `Consumer ${consumer} has lost its lease: another process has taken it over, or the consumer was reset`
  ).pipe(
    Effect.annotateLogs({ consumer }),
    spans.around("leaseLost")
  )

/** Replays parked activities when another fiber or process requests it. Only the running consumer has the handler. */
const replaying = <E, R>(context: ConsumerContext, settings: Settings<E, R>, inFlight: InFlight) => {
  const { name } = settings
  const signals = context.signalsOf(name)
  return Effect.forever(Effect.gen(function*() {
    const requests = signals.requested.count
    const { done, requested } = yield* context.replaysOf(name)
    // In a damaged database, more replays may be done than were requested.
    if (requested <= done) {
      return yield* Effect.raceFirst(signals.requested.after(requests), sleep(replayPoll))
    }
    yield* replayWithLease(
      context,
      { ...settings, retry: Schedule.stop },
      inFlight,
      (lease) => retryWhileUnavailable(context.store.parking.completeReplays(lease, requested))
    )
    signals.changed.notify()
  }))
}

/**
 * Handles pages of the log in order. With `concurrency`, handles several resources at once, each in order.
 * Transactional handlers run one after another: the database has one writer.
 */
const handling = <E, R>(session: Session<E, R>): Effect.Effect<never, RunEnd, R> =>
  Effect.suspend(() => {
    const { concurrency, transactional } = session.settings
    if (transactional) return handlingBatches(session, pages(session), inTransactions(session))
    if (concurrency === 1) return handlingBatches(session, pages(session), directly(session))
    const { batches, reading } = partitions(session)
    const worker = handlingBatches(session, batches, directly(session))
    return Effect.zipRight(concurrently([reading, ...Array.from({ length: concurrency }, () => worker)]), Effect.never)
  })

type State<R> =
  | { readonly _tag: "Reading" }
  | { readonly _tag: "EnsuringLease"; readonly batch: Batch; readonly handle: Handle<R> }
  | { readonly _tag: "Handling"; readonly batch: Batch; readonly handle: Handle<R> }
  | { readonly _tag: "Failed"; readonly batch: Batch; readonly handle: Handle<R>; readonly cause: Cause.Cause<unknown> }
  | { readonly _tag: "Extending"; readonly batch: Batch; readonly handle: Handle<R> }
  | { readonly _tag: "ParkingBehind"; readonly batch: Batch; readonly handle: Handle<R> }

const handlingBatches = <E, R>(
  session: Session<E, R>,
  batches: Batches,
  handle: (batch: Batch) => Handle<R>
): Effect.Effect<never, RunEnd, R> => {
  const begin = (batch: Batch): State<R> => ({ _tag: "EnsuringLease", batch, handle: handle(batch) })

  const proceed = (batch: Batch, handle: Handle<R>): State<R> => {
    if (session.mustPark(batch)) return { _tag: "ParkingBehind", batch, handle }
    if (!batch.isDone) return { _tag: "EnsuringLease", batch, handle }
    if (batch.behind.length > 0) return { _tag: "Extending", batch, handle }
    batch.end()
    return { _tag: "Reading" }
  }

  const next = (state: State<R>, attempts: Attempts<R>): Effect.Effect<State<R>, RunEnd, R> => {
    switch (state._tag) {
      case "Reading":
        return Effect.map(batches.next, begin)
      case "EnsuringLease":
        return Effect.as(session.held.ensureHeld, { ...state, _tag: "Handling" })
      case "Handling":
        return Effect.map(state.handle, (failure): State<R> => {
          if (Option.isSome(failure)) return { ...state, _tag: "Failed", cause: failure.value }
          return proceed(state.batch, state.handle)
        })
      case "Failed":
        return Effect.map(
          session.handleFailure(state.batch, state.cause, attempts),
          () => proceed(state.batch, state.handle)
        )
      case "Extending":
        return Effect.map(
          batches.extend(state.batch),
          (isExtended) => isExtended ? begin(state.batch) : { ...state, _tag: "ParkingBehind" }
        )
      case "ParkingBehind":
        return Effect.map(session.parkAllBehind(state.batch), () => proceed(state.batch, state.handle))
    }
  }

  return Effect.gen(function*() {
    const attempts = new Attempts(session.settings.retry)
    let state: State<R> = { _tag: "Reading" }
    while (true) state = yield* next(state, attempts)
  })
}
