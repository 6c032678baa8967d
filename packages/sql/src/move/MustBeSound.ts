import type { Drift, StorageError, Verification } from "@caravel/domain"
import { Effect, Option, Stream } from "effect"

/** Runs a verification to its end, and returns its last step. Fails with the error that `refuse` makes of the first drift. */
export const mustBeSound = <E>(
  steps: Stream.Stream<Verification, E>,
  onStep: (done: number, total: number) => void,
  refuse: (drift: Drift) => StorageError
): Effect.Effect<Verification, E | StorageError> =>
  Effect.map(
    Stream.runFoldEffect(steps, Option.none<Verification>(), (_, step) => {
      onStep(step.events, step.head)
      const [drift] = step.differences
      return drift === undefined ? Effect.succeedSome(step) : refuse(drift)
    }),
    Option.getOrThrow
  )
