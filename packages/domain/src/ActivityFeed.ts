import { Context, type Effect, type ParseResult, type Stream } from "effect"
import type { StorageError } from "./command/CommandError.js"
import type { Epoch, PositionFromOtherEpoch } from "./journal/Epoch.js"
import type { Activity } from "./model/Activity.js"

/**
 * The activity log as streams that never end. Activities arrive in commit order, each exactly once, however slow the
 * reader is.
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
  /** Every activity from the moment the stream starts to run. */
  readonly live: Stream.Stream<Activity, StorageError | PositionFromOtherEpoch>
  /**
   * Every activity after `position`, then live ones. After a failure or a restart, resume from the last activity
   * received. If you store the position beyond the life of the process, store `epoch` with it and pass both.
   */
  readonly since: (
    position: number,
    options?: { readonly epoch?: string | undefined }
  ) => Stream.Stream<Activity, StorageError | PositionFromOtherEpoch | ParseResult.ParseError>
  /** The current timeline of the positions, as `Journal.epoch`. Read it before the activities whose positions you store. */
  readonly epoch: Effect.Effect<Epoch, StorageError>
}>() {}
