import { Effect } from "effect"

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
  Effect.all([Effect.flatMap(effect, (value) => Effect.fail(new Succeeded(value))), background], {
    concurrency: "unbounded",
    discard: true
  }).pipe(
    Effect.zipRight(Effect.never),
    Effect.catchIf((error): error is Succeeded<A> => error instanceof Succeeded, ({ value }) => Effect.succeed(value))
  )
