/** A worker that follows the activity log, here or at a host, and continues after a restart where it was. */
import { type Activity, ActivityFeed, Epoch } from "@caravel/domain"
import * as FileSystem from "@effect/platform/FileSystem"
import { Effect, Schema, Stream } from "effect"

/** A position is of use only with the epoch that it belongs to: restoring a database begins another one. */
const Checkpoint = Schema.parseJson(Schema.Struct({ epoch: Epoch, position: Schema.NonNegativeInt }))

/** Where the worker was, in a file. A file beside it replaces it, so that it is whole at any moment. */
const checkpointIn = (path: string) =>
  Effect.map(FileSystem.FileSystem, (fs) => ({
    read: Effect.flatMap(fs.readFileString(path), Schema.decode(Checkpoint)),
    exists: fs.exists(path),
    write: (checkpoint: typeof Checkpoint.Type) =>
      Schema.encode(Checkpoint)(checkpoint).pipe(
        Effect.flatMap((text) => fs.writeFileString(`${path}.new`, text)),
        Effect.zipRight(fs.rename(`${path}.new`, path))
      )
  }))

/**
 * Handles every activity from the beginning of the log, in order, for ever. It is at least once: an activity whose
 * position was not stored is handled again. Fails if the database was restored since.
 */
export const follow = <E, R>(path: string, handle: (activity: Activity) => Effect.Effect<void, E, R>) =>
  Effect.gen(function*() {
    const feed = yield* ActivityFeed
    const checkpoint = yield* checkpointIn(path)
    const { epoch, position } = (yield* checkpoint.exists)
      ? yield* checkpoint.read
      : { epoch: yield* feed.epoch, position: 0 }
    yield* Stream.runForEach(
      feed.since(position, { epoch }),
      (activity) => Effect.zipRight(handle(activity), checkpoint.write({ epoch, position: activity.position }))
    )
  })
