import { Effect } from "effect"

class Done<A> {
  readonly value: A
  constructor(value: A) {
    this.value = value
  }
}

/**
 * Runs an effect beside another one that never succeeds, until one of them ends. Then, and when it is interrupted itself,
 * nothing of either runs any more: `Effect.raceFirst`, interrupted, would not wait for what it has begun.
 */
export const beside = <A, E, R, E2, R2>(
  effect: Effect.Effect<A, E, R>,
  other: Effect.Effect<never, E2, R2>
): Effect.Effect<A, E | E2, R | R2> =>
  Effect.all([Effect.flatMap(effect, (value) => Effect.fail(new Done(value))), other], {
    concurrency: "unbounded",
    discard: true
  }).pipe(
    Effect.zipRight(Effect.never),
    Effect.catchIf((error): error is Done<A> => error instanceof Done, ({ value }) => Effect.succeed(value))
  )
