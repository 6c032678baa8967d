import { Context, type Effect, type Queue, type Scope } from "effect"
import type { Activity } from "./model/Activity.js"

/**
 * Broadcasts each activity after it is committed. There is no `publish`: broadcasts are read from the journal, so an
 * activity that is not committed cannot be broadcast.
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
   * A queue of every activity from now on, in commit order, each once. A slow reader is served from the journal: it
   * loses nothing, delays no other reader, and holds a page of activities, or as many as it takes at once. While the
   * journal cannot be read, the queue waits. If the journal was restored, replaced or truncated, the queue shuts down,
   * which interrupts its takers; the reason is logged.
   */
  readonly subscribe: Effect.Effect<Queue.Dequeue<Activity>, never, Scope.Scope>
}>() {}
