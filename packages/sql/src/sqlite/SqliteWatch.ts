/** Notices other processes' commits to the file, and that it was removed, replaced or truncated. */
import type { StorageError } from "@caravel/domain"
import { Tail } from "@caravel/pubsub"
import { Duration, Effect, Layer, Option, Schedule, Schema } from "effect"
import { watch } from "node:fs"
import { Database } from "../database/Database.js"
import * as Watch from "../database/Watch.js"
import { realPath } from "./DatabaseFile.js"

/** The shortest wait between two polls after other processes have committed. */
const soonest = Duration.millis(4)

/**
 * The same after commits of this process alone: polling slows a process that writes without a pause by a few percent.
 */
const sooner = Duration.millis(25)

/** The longest wait between two polls: the delay if files cannot be watched, and the interval of an idle process. */
const latest = Duration.millis(250)

/**
 * When to poll after the log was written to. The log's pages are written before they are synced, and the commit is seen
 * only after that.
 */
const onceWritten = [Duration.zero, soonest, soonest, sooner]

/** How often to check the files, and to read the head even if no change was seen. */
const fallbackPoll = Duration.millis(500)

const decodeVersion = Schema.decodeUnknown(Schema.Tuple(Schema.Tuple(Schema.Number)))

/**
 * Follows the file's commits with `PRAGMA data_version` of the reading connection, which changes with each commit of
 * another connection, the writing one included. While there are commits, it polls. While there are none, it also
 * watches the log: a watch would take 6 µs of each commit of this process. Waits in real time, even under a `TestClock`.
 */
export const layer = (filename: string): Layer.Layer<never, StorageError, Database | Tail.Tail> =>
  Layer.scopedDiscard(Effect.gen(function*() {
    const { intact, readCommitted } = yield* Database
    const tail = yield* Tail.Tail
    const log = `${yield* realPath(filename)}-wal`
    const version = Effect.map(
      readCommitted("watch", "PRAGMA data_version", [], decodeVersion),
      ([[version]]) => version
    )

    /** Waits until the version is another than `known`. */
    const untilCommitted = (known: number) =>
      Effect.scoped(Effect.gen(function*() {
        const written = yield* writtenTo(log)
        while ((yield* version) === known) {
          if (Option.isNone(yield* Effect.timeoutOption(written.await, latest))) continue
          yield* written.close
          for (const wait of onceWritten) {
            yield* Effect.sleep(wait)
            if ((yield* version) !== known) return
          }
        }
      }))

    const follow = Effect.gen(function*() {
      let known: number | undefined
      let wasNews = false
      while (true) {
        const current = yield* version
        if (current === known) yield* untilCommitted(current)
        else {
          const before = yield* tail.position
          // The first iteration reads what was committed since the tail began, or since a poll failed.
          yield* tail.advanceToHead
          known = current
          const isNews = (yield* tail.position) > before
          // A commit between the two reads changes the version again, and is no news then: others are still writing.
          yield* Effect.sleep(isNews || wasNews ? soonest : sooner)
          wasNews = isNews
        }
      }
    })

    const checkFiles = Effect.matchEffect(intact, {
      onFailure: (error) => error.reason === "replaced" ? tail.fail(error) : Effect.fail(error),
      onSuccess: () => tail.advanceToHead
    })

    yield* Watch.run("SQLite: following others' commits", Effect.retry(follow, Schedule.spaced(fallbackPoll)))
    yield* Watch.run("SQLite: checking the files", Effect.repeat(checkFiles, Schedule.spaced(fallbackPoll)))
  }))

/**
 * A latch that opens when the file is written to, if the system can watch files. It is only a hint: the watch also
 * polls.
 */
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
