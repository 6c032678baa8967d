/** A consumer whose handlers run in the transaction that moves the checkpoint: after a crash, nothing is done twice. */
import type { Activity, StorageError } from "@caravel/domain"
import { Cause, Effect, Either, Exit } from "effect"
import { retryWhile, sleep, Waiting } from "../runtime/Waiting.js"
import { untilReadable } from "../tail/Subscription.js"
import type { Attempts } from "./Attempts.js"
import type { LeaseLost } from "./ConsumerStore.js"
import { passes } from "./Patiently.js"
import type { PageHandling, Session } from "./Session.js"

/** How many activities share a transaction at most. */
const batchSize = 64

/** How long a transaction goes on to the next activity, in milliseconds: others wait for it. */
const longestBatch = 20

/** How often handlers that have succeeded are run again because their commit fails, before that counts as their failure. */
const maxRefusals = 5

/** Where a transaction is. */
interface Batch {
  index: number
  /** What the handler at the index has failed with. */
  failure: Cause.Cause<unknown> | undefined
  /** Whether a handler has been begun. */
  begun: boolean
}

/** Handles pages in transactions of several activities each. */
export const inTransactions = <E, R>(session: Session<E, R>, attempts: Attempts<R>) => {
  const { blocked, held, inFlight, lease, progress, settings: { handle }, store, writing } = session

  /** Handles activities from an index on, as many as fit. */
  const transaction = (page: ReadonlyArray<Activity>, from: number, most: number, batch: Batch) =>
    store.transaction(Effect.gen(function*() {
      Object.assign(batch, { index: from, failure: undefined, begun: false })
      yield* store.leases.renew(lease)
      const clock = yield* Waiting
      const until = clock.unsafeCurrentTimeMillis() + longestBatch
      const end = Math.min(page.length, from + most)
      while (batch.index < end) {
        const activity = page[batch.index]!
        const isFree = !blocked.has(activity) || (yield* session.parkBehind([activity])).length > 0
        if (isFree) {
          batch.begun = true
          const exit = yield* Effect.exit(store.transaction(Effect.suspend(() => handle(activity))))
          if (Exit.isFailure(exit)) {
            batch.failure = exit.cause
            break
          }
        }
        batch.index++
        if (clock.unsafeCurrentTimeMillis() >= until || inFlight.stopping || !held.isSure()) break
      }
      if (batch.index > from) yield* store.checkpoints.move(lease, progress.written, page[batch.index - 1]!.position)
    }))

  /** The same, once the storage can be used: what it fails with before a handler has begun is nobody's failure. */
  const handled = (
    page: ReadonlyArray<Activity>,
    from: number,
    most: number,
    batch: Batch
  ): Effect.Effect<void, StorageError | LeaseLost, R> => {
    const committed = Effect.map(Effect.suspend(() => transaction(page, from, most, batch)), () => {
      if (batch.index > from) progress.commit(page[batch.index - 1]!.position)
    })
    return writing.withPermits(1)(
      retryWhile((error) => passes(error) && !batch.begun, untilReadable)(
        inFlight.track(() => page[Math.min(batch.index, page.length - 1)]!, committed)
      )
    )
  }

  return (page: ReadonlyArray<Activity>): PageHandling<R> =>
    Effect.gen(function*() {
      let from = 0
      let most = batchSize
      let refusals = 0
      /** What a handler has failed with in a transaction that could not go on. What was before it is done first. */
      let failed: { readonly index: number; readonly cause: Cause.Cause<unknown> } | undefined
      while (from < page.length) {
        if (failed?.index === from) {
          const again = yield* session.failed(page[from]!, failed.cause, attempts, true)
          failed = undefined
          if (!again) from++
          continue
        }
        const batch: Batch = { index: from, failure: undefined, begun: false }
        const result = yield* Effect.either(
          handled(page, from, failed === undefined ? most : failed.index - from, batch)
        )
        if (batch.failure !== undefined) failed = { index: batch.index, cause: batch.failure }
        if (Either.isRight(result)) {
          refusals = 0
          from = batch.index
          continue
        }
        const error = result.left
        if (error._tag !== "StorageError" || !(passes(error) || error.reason === "other")) return yield* error
        if (batch.failure !== undefined) continue
        if (error.reason === "commitUnknown") {
          const position = yield* session.committed
          from = page.filter((activity) => activity.position <= position).length
        } else if (passes(error) && ++refusals < maxRefusals) {
          yield* sleep("100 millis")
        } else if (most > 1) {
          // What a handler did may be refused only by the commit, and then it takes the others of its batch with it.
          most = 1
        } else failed = { index: from, cause: Cause.fail(error) }
      }
    })
}
