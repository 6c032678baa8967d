/** Commands that are effects, and their subscriptions. */
import { Chunk, Effect, Queue, type Scope } from "effect"
import type { Input } from "./Input.js"
import * as Load from "./Load.js"

/** What a subscriber is told, as far as the measurements need it. */
export interface Notice {
  readonly position: number
}

/** Runs an effect for what has come, again and again. */
export type Follow<A> = (take: (values: Chunk.Chunk<A>) => Effect.Effect<void>) => Effect.Effect<never>

/** Commands that are effects, and a way to be told of them. */
export interface Live {
  readonly execute: (input: Input) => Effect.Effect<Notice>
  readonly follow: Follow<Notice>
}

/** A session that counts what its subscriber is told. */
export const session = <A>({ execute, follow }: {
  readonly execute: (input: Input) => Effect.Effect<unknown>
  readonly follow: Follow<A>
}): Effect.Effect<Load.Session, never, Scope.Scope> =>
  Effect.gen(function*() {
    let notified = 0
    yield* Effect.forkScoped(follow((values) => Effect.sync(() => notified += Chunk.size(values))))
    return { run: Load.effectful(execute), notified: () => notified }
  })

/** Follows a queue: waits for the first, then takes what there is. */
export const followQueue = <A>(queue: Queue.Dequeue<A>): Follow<A> => (take) =>
  Effect.forever(Effect.flatMap(Queue.takeBetween(queue, 1, Number.MAX_SAFE_INTEGER), take))
