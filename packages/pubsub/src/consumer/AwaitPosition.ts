/** Waiting for a consumer that runs in this process or another one. */
import { Effect, Option } from "effect"
import { sleep } from "../runtime/Waiting.js"
import type { Checkpoint } from "./Checkpoints.js"
import type { ConsumerContext } from "./ConsumerContext.js"
import { ConsumerHalted } from "./ConsumerError.js"
import type { AwaitError } from "./ConsumerModel.js"
import { decodeName } from "./ConsumerSettings.js"
import { failInOwnHandler } from "./CurrentHandler.js"
import type { LocalSignals } from "./LocalSignals.js"
import { retryWhileUnavailable } from "./StorageRetry.js"

/** How often another process's checkpoint is read. */
const pollInterval = "50 millis"

/**
 * Completes once a consumer may have changed. If the consumer does not run in this process, its checkpoint is polled.
 */
export const awaitChange = (signals: LocalSignals, changes: number): Effect.Effect<void> =>
  signals.progress === undefined
    ? Effect.raceFirst(signals.changed.after(changes), sleep(pollInterval))
    : signals.changed.after(changes)

/** See `Consumer.awaitPosition`. */
export const awaitPosition = (
  context: ConsumerContext,
  name: string,
  awaited: number,
  epoch: string | undefined
): Effect.Effect<void, AwaitError> =>
  Effect.zipRight(decodeName(name), retryWhileUnavailable(context.checkPosition(awaited, epoch))).pipe(
    Effect.flatMap((position) => {
      const { store, tail } = context
      const signals = context.signalsOf(name)
      const reached: Effect.Effect<void, AwaitError> = Effect.gen(function*() {
        while (true) {
          const changes = signals.changed.count
          const checkpoint = yield* retryWhileUnavailable(
            Effect.zipLeft(store.checkpoints.find(name), tail.failIfRestored(position))
          )
          if (Option.exists(checkpoint, (checkpoint) => checkpoint.position >= position)) return
          yield* failInOwnHandler(name, signals, ({ canReach }) => !canReach(position))
          const halted = Option.flatMap(checkpoint, haltedAt)
          // A run in this process waits for the lease, or has just acquired it.
          if (Option.isSome(halted) && signals.runs === 0) return yield* halted.value
          signals.progress?.check()
          yield* awaitChange(signals, changes)
        }
      })
      return Effect.acquireUseRelease(
        // Lets a run that was just forked start first.
        Effect.as(Effect.yieldNow(), { position }),
        (waiting) => {
          signals.awaited.add(waiting)
          return reached
        },
        (waiting) => Effect.sync(() => signals.awaited.delete(waiting))
      )
    }),
    context.orRestored,
    context.store.outside
  )

/** The error of a halted consumer: only a halted consumer has failed attempts and no owner. */
const haltedAt = (checkpoint: Checkpoint): Option.Option<ConsumerHalted> =>
  checkpoint.owner !== null || checkpoint.attempts === 0 || checkpoint.failedPosition === null
    ? Option.none()
    : Option.some(
      new ConsumerHalted({
        consumer: checkpoint.name,
        position: checkpoint.failedPosition,
        attempts: checkpoint.attempts,
        cause: checkpoint.lastError
      })
    )
