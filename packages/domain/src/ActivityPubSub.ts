import { Context, type Effect, type Queue, type Scope } from "effect"
import type { Activity } from "./model/Activity.js"

/**
 * Broadcasts each activity once it is committed. There is no `publish`: what is announced comes from the journal alone,
 * so nothing can be announced that is not committed.
 *
 * @example
 * ```ts
 * import { Command } from "@caravel/domain"
 * import { Memory } from "@caravel/memory"
 * import { Effect, Queue } from "effect"
 *
 * const program = Effect.gen(function*() {
 *   const command = yield* Command
 *   const queue = yield* command.notify.subscribe
 *   yield* command.createTenant({ pubkey: "ab".repeat(32) })
 *   return yield* Queue.take(queue)
 * })
 *
 * await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Memory.layer)))
 * ```
 *
 * @since 0.1.0
 * @category services
 */
export class ActivityPubSub extends Context.Tag("@caravel/domain/ActivityPubSub")<ActivityPubSub, {
  /**
   * A queue of every activity from now on, in commit order, each once. A reader that lags is served from the journal:
   * it loses nothing, holds back nobody and costs no memory. While the journal cannot be read, the queue waits. Once the
   * journal was restored, replaced, or has gone back, the queue shuts down, which interrupts its takers; the log says why.
   */
  readonly subscribe: Effect.Effect<Queue.Dequeue<Activity>, never, Scope.Scope>
}>() {}
