import { runAtOnce, runInTurns, type Steps } from "@caravel/domain/adapter"
import { Effect, type Either } from "effect"

/**
 * Serializes the writes of concurrent fibers. A short write runs in one step of its fiber; a long one runs in several
 * steps, and all other writes wait for it.
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
