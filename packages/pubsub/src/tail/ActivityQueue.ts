import type { Activity } from "@caravel/domain"
import { Chunk, Deferred, Effect, Effectable, Exit, FiberId, Option, Queue } from "effect"
import * as Backoff from "../runtime/Backoff.js"
import { retryWhile } from "../runtime/Waiting.js"
import type { Subscription } from "./Subscription.js"
import type { Ended } from "./Window.js"

/**
 * A live subscription as a `Dequeue`. Unlike the `Dequeue` of a `PubSub`, it is unbounded and loses nothing. It shuts
 * down when broadcasting has ended and everything that was broadcast has been taken.
 */
export class ActivityQueue extends Effectable.Class<Activity> implements Queue.Dequeue<Activity> {
  readonly [Queue.DequeueTypeId] = { _Out: (_: never) => _ }
  private readonly subscription: Subscription
  private readonly closed = Deferred.unsafeMake<void>(FiberId.none)

  constructor(subscription: Subscription) {
    super()
    this.subscription = subscription
    subscription.onEnd(() => this.unsafeShutdown())
  }

  override commit() {
    return this.take
  }

  get take(): Effect.Effect<Activity> {
    return Effect.map(this.takeBetween(1, 1), Chunk.unsafeHead)
  }

  get takeAll(): Effect.Effect<Chunk.Chunk<Activity>> {
    return this.takeUpTo(Number.POSITIVE_INFINITY)
  }

  takeUpTo(max: number): Effect.Effect<Chunk.Chunk<Activity>> {
    return this.chunkOf(this.subscription.takePending(whole(max)))
  }

  takeBetween(min: number, max: number): Effect.Effect<Chunk.Chunk<Activity>> {
    return max < min
      ? Effect.succeed(Chunk.empty())
      : this.chunkOf(this.subscription.take(Math.min(whole(min), whole(max)), whole(max)))
  }

  private chunkOf(taken: Effect.Effect<Array<Activity>, Ended>): Effect.Effect<Chunk.Chunk<Activity>> {
    const { subscription } = this
    const orEnd = <A>(effect: Effect.Effect<A, Ended>) => Effect.catchAll(effect, () => this.end)
    const later = (error: Ended) =>
      subscription.isLast ?
        this.end :
        Effect.logWarning("The journal cannot be read at present; retrying", error).pipe(
          Effect.zipRight(orEnd(retryWhile(() => !subscription.isLast, Backoff.untilAvailable)(taken)))
        )
    return Effect.map(Effect.catchAll(taken, later), Chunk.unsafeFromArray)
  }

  capacity(): number {
    return Number.POSITIVE_INFINITY
  }

  unsafeSize(): Option.Option<number> {
    return this.subscription.isClosed ? Option.none() : Option.some(this.subscription.pending)
  }

  get size(): Effect.Effect<number> {
    return Effect.suspend(() =>
      Option.match(this.unsafeSize(), { onNone: () => Effect.interrupt, onSome: Effect.succeed })
    )
  }

  get isEmpty(): Effect.Effect<boolean> {
    return Effect.map(this.size, (size) => size === 0)
  }

  get isFull(): Effect.Effect<boolean> {
    return Effect.map(this.size, () => false)
  }

  isActive(): boolean {
    return !this.subscription.isClosed
  }

  get isShutdown(): Effect.Effect<boolean> {
    return Effect.sync(() => this.subscription.isClosed)
  }

  get shutdown(): Effect.Effect<void> {
    return Effect.sync(() => this.unsafeShutdown())
  }

  private unsafeShutdown(): void {
    this.subscription.close()
    Deferred.unsafeDone(this.closed, Exit.void)
  }

  /** Shuts down and interrupts the taker. The tail has logged the reason. */
  private get end(): Effect.Effect<never> {
    return Effect.zipRight(this.shutdown, Effect.interrupt)
  }

  get awaitShutdown(): Effect.Effect<void> {
    return Deferred.await(this.closed)
  }
}

/** As in a `Queue`, a number below one means none. */
const whole = (count: number) => count >= 1 ? Math.floor(count) : 0
