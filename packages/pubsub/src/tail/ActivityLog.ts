import {
  type Activity,
  type Epoch,
  type EventId,
  Journal,
  type Position,
  Query,
  type StorageError
} from "@caravel/domain"
import { Context, Effect, Layer } from "effect"

/**
 * A part of the activity log to read.
 *
 * @since 0.1.0
 * @category models
 */
export interface Range {
  readonly after: number
  /** The last position to read; the head of the journal by default. */
  readonly upTo?: number | undefined
  /** The maximum number of activities; unlimited by default. */
  readonly limit?: number | undefined
}

/**
 * Activities, and what tells whether the journal still is the one that the reader knows.
 *
 * @since 0.1.0
 * @category models
 */
export interface Page {
  /** The activities in the range, oldest first. */
  readonly activities: ReadonlyArray<Activity>
  readonly epoch: Epoch
  readonly head: Position
  /** The id of the activity at the position that the reader knows; undefined if there is none. */
  readonly known: EventId | undefined
}

/**
 * Reads the committed activity log together with the state of the journal, whatever transaction the caller is in. An
 * adapter may read both in one statement; `layer` reads them one by one.
 *
 * @since 0.1.0
 * @category services
 */
export class ActivityLog extends Context.Tag("@caravel/pubsub/ActivityLog")<ActivityLog, {
  /**
   * Reads a range, and the id of the activity at `known`. If the journal is replaced meanwhile, the epoch or the id is
   * the one after it.
   */
  readonly read: (range: Range, known?: Position) => Effect.Effect<Page, StorageError>
}>() {}

/**
 * The activity log over the services that every adapter has.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<ActivityLog, never, Journal | Query> = Layer.effect(
  ActivityLog,
  Effect.gen(function*() {
    const journal = yield* Journal
    const query = yield* Query
    // Only committed activities may be broadcast, so reads must not use a transaction of the caller.
    const context = yield* Effect.context<never>()
    const activities = (range: Range) => Effect.catchTag(query.activity(range), "ParseError", Effect.die)
    return {
      read: ({ after, limit, upTo }, known) =>
        Effect.gen(function*() {
          const head = yield* journal.head
          const last = Math.min(head, upTo ?? head)
          const page = last > after ? yield* activities({ after, upTo: last, limit }) : []
          const [epoch, [found]] = yield* Effect.zip(
            journal.epoch,
            known === undefined ? Effect.succeed([]) : activities({ after: known - 1, upTo: known, limit: 1 }),
            { concurrent: true }
          )
          return { activities: page, epoch, head, known: found?.id }
        }).pipe(Effect.mapInputContext((_: Context.Context<never>) => context))
    }
  })
)
