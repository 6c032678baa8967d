import { Context, type ParseResult, type Stream } from "effect"
import type { StorageError } from "./command/CommandError.js"
import type { PositionFromOtherEpoch } from "./journal/Epoch.js"
import type { Activity } from "./model/Activity.js"

/**
 * The activity log as streams that never end, in commit order, each activity once, however slow the reader.
 *
 * @example
 * ```ts
 * import { ActivityFeed, Command } from "@caravel/domain"
 * import { Memory } from "@caravel/memory"
 * import { Effect, Stream } from "effect"
 *
 * const program = Effect.gen(function*() {
 *   const command = yield* Command
 *   const feed = yield* ActivityFeed
 *   yield* command.createTenant({ pubkey: "ab".repeat(32) })
 *   yield* feed.since(0).pipe(
 *     Stream.take(1),
 *     Stream.runForEach((activity) => Effect.log(activity.activityType))
 *   )
 * })
 *
 * await Effect.runPromise(Effect.provide(program, Memory.layer))
 * ```
 *
 * @since 0.1.0
 * @category services
 */
export class ActivityFeed extends Context.Tag("@caravel/domain/ActivityFeed")<ActivityFeed, {
  /** Every activity from the moment the stream is run. */
  readonly live: Stream.Stream<Activity, StorageError | PositionFromOtherEpoch>
  /**
   * Every activity after `position`, then live. After a failure or a restart, go on from the last one received; who keeps
   * that longer than a process lives keeps `Journal.epoch` with it, and gives both.
   */
  readonly since: (
    position: number,
    options?: { readonly epoch?: string | undefined }
  ) => Stream.Stream<Activity, StorageError | PositionFromOtherEpoch | ParseResult.ParseError>
}>() {}
