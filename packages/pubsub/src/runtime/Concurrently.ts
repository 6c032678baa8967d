/** Effects that run at the same time, until one of them fails. */
import { Effect, Fiber } from "effect"

/** Runs an effect in a fiber of its own, and ends when it has ended. On interruption, `beforeInterrupt` runs first. */
export const inOwnFiber = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  beforeInterrupt: (fiber: Fiber.Fiber<unknown>) => Effect.Effect<unknown> = () => Effect.void
): Effect.Effect<A, E, R> =>
  Effect.uninterruptibleMask((restore) =>
    // A fiber that fails would log its error as unhandled.
    Effect.flatMap(Effect.forkDaemon(Effect.exit(restore(effect))), (fiber) =>
      Effect.flatten(
        Effect.onInterrupt(
          restore(Fiber.join(fiber)),
          () => Effect.zipRight(beforeInterrupt(fiber), Fiber.interrupt(fiber))
        )
      ))
  )

/**
 * Runs effects at the same time. When one fails, the others are interrupted, and have ended when this fails. Each has a
 * fiber of its own: what an effect of `Effect.all` forks belongs to the fiber that called `Effect.all`, so that a failure
 * of another one would not interrupt an effect within `Effect.timeout` (Effect 3.22).
 */
export const concurrently = <E, R>(
  effects: ReadonlyArray<Effect.Effect<unknown, E, R>>
): Effect.Effect<void, E, R> =>
  Effect.forEach(effects, (effect) => inOwnFiber(effect), { concurrency: "unbounded", discard: true })

class Succeeded<A> {
  readonly value: A
  constructor(value: A) {
    this.value = value
  }
}

/**
 * Runs an effect while another one, which never succeeds, runs in the background. When either ends, the other is
 * interrupted. Both have ended when this returns or is interrupted; an interrupted `Effect.raceFirst` would not wait
 * for them.
 */
export const withBackground = <A, E, R, E2, R2>(
  effect: Effect.Effect<A, E, R>,
  background: Effect.Effect<never, E2, R2>
): Effect.Effect<A, E | E2, R | R2> =>
  concurrently<E | E2 | Succeeded<A>, R | R2>([
    Effect.flatMap(effect, (value) => Effect.fail(new Succeeded(value))),
    background
  ]).pipe(
    Effect.zipRight(Effect.never),
    Effect.catchIf((error): error is Succeeded<A> => error instanceof Succeeded, ({ value }) => Effect.succeed(value))
  )
