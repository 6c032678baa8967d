import { runAtOnce, runInTurns, type Steps } from "@caravel/domain"
import { Effect, type Either } from "effect"

/**
 * Writes of concurrent fibers follow one another: a short one in one step of its fiber, a long one in many, for which all
 * others wait.
 */
export class Turns {
  private readonly turn = Effect.unsafeMakeSemaphore(1)
  private isLongOneUnderWay = false

  take<A, E>(isLong: boolean, write: () => Steps<Either.Either<A, E>>): Effect.Effect<A, E> {
    return Effect.suspend(() =>
      isLong
        ? this.turn.withPermits(1)(this.inSteps(write))
        : this.isLongOneUnderWay
        ? this.turn.withPermits(1)(Effect.suspend(() => runAtOnce(write())))
        : runAtOnce(write())
    )
  }

  private inSteps<A, E>(write: () => Steps<Either.Either<A, E>>): Effect.Effect<A, E> {
    return Effect.acquireUseRelease(
      Effect.sync(() => this.isLongOneUnderWay = true),
      () => runInTurns(write()),
      () => Effect.sync(() => this.isLongOneUnderWay = false)
    )
  }
}
