/** Commands that are effects, with their subscriptions. */
import { Chunk, Effect, Queue, type Scope } from "effect"
import type { Input } from "./Input.js"
import * as Load from "./Load.js"

/** A notification, with the field that the measurements need. */
export interface Notice {
  readonly position: number
}

/** Runs an effect for each batch of received values, forever. */
export type Follow<A> = (take: (values: Chunk.Chunk<A>) => Effect.Effect<void>) => Effect.Effect<never>

/** Commands that are effects, and a subscription to their activities. */
export interface Live {
  readonly execute: (input: Input) => Effect.Effect<Notice>
  readonly follow: Follow<Notice>
}

/** A session that counts its subscriber's notifications. */
export const session = <A>({ execute, follow }: {
  readonly execute: (input: Input) => Effect.Effect<unknown>
  readonly follow: Follow<A>
}): Effect.Effect<Load.Session, never, Scope.Scope> =>
  Effect.gen(function*() {
    let notified = 0
    yield* Effect.forkScoped(follow((values) => Effect.sync(() => notified += Chunk.size(values))))
    return { run: Load.effectful(execute), notified: () => notified }
  })

/** Follows a queue: waits for a first value, then takes all that are there. */
export const followQueue = <A>(queue: Queue.Dequeue<A>): Follow<A> => (take) =>
  Effect.forever(Effect.flatMap(Queue.takeBetween(queue, 1, Number.MAX_SAFE_INTEGER), take))
