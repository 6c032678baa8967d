/** Notices what other processes commit to the file, and that it has been replaced. */
import { StorageError } from "@caravel/domain"
import { Tail } from "@caravel/pubsub"
import { Clock, Duration, Effect, Layer, Option, Schedule, Schema } from "effect"
import { watch } from "node:fs"
import * as fs from "node:fs/promises"
import { Database } from "./Database.js"

/** How long to wait between two looks at least, after others have committed. */
const soonest = Duration.millis(5)

/** The same, when only this process has: looking while it writes without a pause costs it a few percent. */
const sooner = Duration.millis(25)

/** How long to wait at most: where files cannot be watched, this is the delay. An idle process looks so often. */
const latest = Duration.millis(250)

/** How often to look after the file, and to read the head although nothing seems to have happened. */
const distrust = Duration.seconds(1)

const decodeVersion = Schema.decodeUnknown(Schema.Tuple(Schema.Tuple(Schema.Number)))

/**
 * Follows the file's commits by `PRAGMA data_version` of the reading connection, which moves with each commit of any
 * other connection: it looks when the log is written to, and otherwise four times a second. In real time, also under a
 * `TestClock`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (filename: string): Layer.Layer<never, StorageError, Database | Tail.Tail> =>
  Layer.scopedDiscard(Effect.gen(function*() {
    const { fail, read } = yield* Database
    const tail = yield* Tail.Tail
    const version = Effect.map(read("watch", "PRAGMA data_version", [], decodeVersion), ([[version]]) => version)

    const written = yield* writtenTo(`${filename}-wal`)

    const follow = Effect.gen(function*() {
      let known: number | undefined
      while (true) {
        const current = yield* version
        const before = yield* tail.position
        // At first: what has been committed since the tail began, or since a look failed.
        if (current !== known) yield* tail.advanceToHead
        known = current
        yield* Effect.sleep((yield* tail.position) > before ? soonest : sooner)
        yield* Effect.timeoutOption(written.await, latest)
        yield* written.close
      }
    })

    const identity = Effect.tryPromise({
      try: () => fs.stat(filename, { bigint: true }),
      catch: (cause) => new StorageError({ reason: "other", operation: `watching ${filename}`, cause })
    }).pipe(Effect.map(({ dev, ino }) => `${dev}:${ino}`))
    const opened = yield* identity
    const lost = new StorageError({
      reason: "replaced",
      operation: `watching ${filename}`,
      cause: new Error("the file was replaced or removed while it was open")
    })
    const lookAfterFile = Effect.flatMap(Effect.option(identity), (current) =>
      Option.contains(current, opened)
        ? tail.advanceToHead
        : Effect.zipRight(Effect.all([fail(lost), tail.fail(lost)]), lost))

    yield* Effect.raceFirst(
      Effect.retry(follow, Schedule.spaced(distrust)),
      Effect.repeat(lookAfterFile, Schedule.spaced(distrust))
    ).pipe(
      // Everybody who uses the database learns of it.
      Effect.ignore,
      Effect.withClock(Clock.make()),
      Effect.forkScoped
    )
  }))

/** A latch that opens when the file is written to, if the system can tell: a hint, behind which stands the clock. */
const writtenTo = (filename: string) =>
  Effect.gen(function*() {
    const latch = yield* Effect.makeLatch()
    yield* Effect.acquireRelease(
      Effect.try(() => {
        const watcher = watch(filename, { persistent: false }, () => latch.unsafeOpen())
        watcher.on("error", () => watcher.close())
        return watcher
      }),
      (watcher) => Effect.sync(() => watcher.close())
    ).pipe(Effect.ignore)
    return latch
  })
