/** What a run is handling just now, and how it is stopped without cutting that off. */
import type { Activity } from "@caravel/domain"
import { Duration, Effect, Fiber } from "effect"
import { sleep } from "../runtime/Waiting.js"
import { Signal } from "./Local.js"

/** The handlers of one run that are under way, those of its replays too. */
export class InFlight {
  /** No further activity is begun. */
  stopping = false
  /** Handlers that had not ended when their time to stop was over. */
  readonly cutOff: Array<Activity> = []
  readonly stopTimeout: Duration.Duration
  private readonly current = new Set<{ readonly activity: () => Activity }>()
  private readonly ended = new Signal()

  constructor(stopTimeout: Duration.Duration) {
    this.stopTimeout = stopTimeout
  }

  /** Runs handlers, unless the run is stopping; then it waits to be interrupted. `activity` tells which one is handled. */
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

  /** Begins nothing further, and waits until what is under way has ended, but for `stopTimeout` at most. */
  readonly drain: Effect.Effect<void> = Effect.suspend(() => {
    this.stopping = true
    const cutOff = Effect.sync(() => {
      for (const { activity } of this.current) this.cutOff.push(activity())
    })
    const timeout = Effect.zipRight(sleep(this.stopTimeout), cutOff)
    return this.current.size === 0 || Duration.toMillis(this.stopTimeout) === 0
      ? Effect.void
      : Effect.raceFirst(this.untilNone, timeout)
  })

  private readonly untilNone: Effect.Effect<void> = Effect.suspend(() =>
    this.current.size === 0 ? Effect.void : Effect.zipRight(this.ended.beyond(this.ended.count), this.untilNone)
  )
}

/** Interrupted, drains what is in flight before it interrupts the effect. */
export const drained = <A, E, R>(inFlight: InFlight, effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.uninterruptibleMask((restore) =>
    // A fiber of its own, which the caller's interruption does not reach by itself.
    Effect.flatMap(Effect.forkDaemon(restore(effect)), (fiber) =>
      Effect.onInterrupt(restore(Fiber.join(fiber)), () =>
        // Neither does it reach the one that waits.
        Effect.forkDaemon(Effect.interruptible(Effect.raceFirst(inFlight.drain, Fiber.await(fiber)))).pipe(
          Effect.flatMap(Fiber.join),
          Effect.zipRight(Fiber.interrupt(fiber))
        )))
  )
