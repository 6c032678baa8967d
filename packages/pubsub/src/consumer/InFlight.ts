/** The handlers in progress and how a run stops: the state Stopping of `Run`. */
import type { Activity } from "@caravel/domain"
import { Duration, Effect, Fiber } from "effect"
import { inOwnFiber } from "../runtime/Concurrently.js"
import { sleep } from "../runtime/Waiting.js"
import type { ConsumerHalted } from "./ConsumerError.js"
import { Signal } from "./LocalSignals.js"

/** The handlers of a run that are in progress, including those of its replays. */
export class InFlight {
  /** Whether the run is stopping: no further handler starts. */
  stopping = false
  /** Why the run is stopping, if it halts: it ends so even if it loses its lease meanwhile. */
  halted: ConsumerHalted | undefined
  /** The activities whose handlers had not ended within `stopTimeout`. */
  readonly cutOff: Array<Activity> = []
  readonly stopTimeout: Duration.Duration
  private readonly current = new Set<{ readonly activity: () => Activity }>()
  private readonly ended = new Signal()

  constructor(stopTimeout: Duration.Duration) {
    this.stopTimeout = stopTimeout
  }

  /**
   * Runs handlers. `activity` returns the activity that is being handled. If the run is stopping, no handler runs and
   * this waits to be interrupted.
   */
  track<A, E, R>(activity: () => Activity, handling: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    return Effect.suspend(() => {
      if (this.stopping) return Effect.never
      const entry = { activity }
      this.current.add(entry)
      return Effect.ensuring(
        handling,
        Effect.sync(() => {
          this.current.delete(entry)
          if (this.stopping) this.ended.notify()
        })
      )
    })
  }

  /** Lets no further handler start, and waits for those in progress, for at most `stopTimeout`. */
  readonly drain: Effect.Effect<void> = Effect.suspend(() => {
    this.stopping = true
    const cutOff = Effect.sync(() => {
      for (const { activity } of this.current) this.cutOff.push(activity())
    })
    const timeout = Effect.zipRight(sleep(this.stopTimeout), cutOff)
    return this.current.size === 0 || Duration.toMillis(this.stopTimeout) === 0
      ? Effect.void
      : Effect.raceFirst(this.allEnded, timeout)
  })

  /** Lets the handlers of other resources end, and fails. */
  halt(reason: ConsumerHalted): Effect.Effect<never, ConsumerHalted> {
    return Effect.suspend(() => {
      this.halted = reason
      return Effect.zipRight(this.drain, reason)
    })
  }

  private readonly allEnded: Effect.Effect<void> = Effect.suspend(() =>
    this.current.size === 0 ? Effect.void : Effect.zipRight(this.ended.after(this.ended.count), this.allEnded)
  )
}

/** Runs an effect. On interruption, waits for handlers in progress before the effect is interrupted. */
export const drainOnInterrupt = <A, E, R>(inFlight: InFlight, effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  inOwnFiber(effect, (fiber) =>
    // The race runs in a fiber, too: it interrupts its loser, and finalizers cannot be interrupted.
    Effect.flatMap(
      Effect.forkDaemon(Effect.interruptible(Effect.raceFirst(inFlight.drain, Fiber.await(fiber)))),
      Fiber.join
    ))
