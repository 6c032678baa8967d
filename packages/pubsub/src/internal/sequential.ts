/** A consumer that handles one activity after another. */
import type { Activity, Position, PositionFromOtherEpoch, StorageError } from "@caravel/domain"
import { Cause, Effect, Exit } from "effect"
import type { LeaseLost } from "../CheckpointStore.js"
import type { ConsumerHalted } from "../ConsumerError.js"
import { Attempts } from "./Attempts.js"
import { patiently } from "./patiently.js"
import type { Session } from "./Session.js"

/** How many activities share a transaction at most. */
const batchSize = 64

/** How long a transaction goes on to the next activity, in milliseconds: others wait for it. */
const longestBatch = 20

/** How long the event loop may be kept, in milliseconds, before timers and sockets get their turn. */
const longestTurn = 20

type Handling<R> = Effect.Effect<void, StorageError | LeaseLost | ConsumerHalted, R>

/** Handles page after page, from a position on. */
export const sequential = <E, R>(
  session: Session<E, R>
): Effect.Effect<never, StorageError | PositionFromOtherEpoch | LeaseLost | ConsumerHalted, R> =>
  Effect.gen(function*() {
    const { held, progress, settings } = session
    const attempts = new Attempts(settings.retry)
    const handle = settings.transactional ? inTransactions(session, attempts) : directly(session, attempts)
    const clock = yield* Effect.clock
    let position: Position = progress.position
    let since = clock.unsafeCurrentTimeMillis()
    while (true) {
      const { activities, last } = yield* session.page(position)
      if (activities.length > 0) {
        yield* held.confirm
        yield* handle(activities)
      }
      progress.advance(last)
      position = last
      if (clock.unsafeCurrentTimeMillis() - since >= longestTurn) {
        yield* Effect.sleep(0)
        since = clock.unsafeCurrentTimeMillis()
      }
    }
  })

/** What is done moves the checkpoint later, once for many: after a crash, some are handled again. */
const directly = <E, R>(session: Session<E, R>, attempts: Attempts<R>) => {
  const { blocked, progress, settings: { handle } } = session

  const handlePage = (page: ReadonlyArray<Activity>): Handling<R> =>
    Effect.suspend(() => {
      let index = 0
      const behind: Array<Activity> = []

      // A loop with nothing in it but the handler: this is what catching up costs.
      const handling = Effect.whileLoop({
        while: () => index < page.length,
        body: () => {
          const activity = page[index]!
          if (!blocked.has(activity)) return handle(activity)
          behind.push(activity)
          return Effect.void
        },
        step: () => {
          // What waits to be parked is not done.
          if (behind.length === 0) progress.advance(page[index]!.position)
          index++
        }
      })
      const rest: Handling<R> = Effect.flatMap(Effect.exit(handling), (exit) =>
        Exit.isSuccess(exit)
          ? Effect.void
          : Effect.flatMap(session.failed(page[index]!, exit.cause, attempts, behind.length === 0), (again) => {
            if (!again) index++
            return rest
          }))

      return Effect.flatMap(rest, () =>
        behind.length === 0 ? Effect.void : Effect.flatMap(
          patiently(Effect.suspend(() => session.parkBehind(behind))),
          (free) => free.length === 0 ? Effect.void : handlePage(free)
        ))
    })

  return handlePage
}

/** What is done moves the checkpoint in the transaction that does it: after a crash, nothing has been done twice. */
const inTransactions = <E, R>(session: Session<E, R>, attempts: Attempts<R>) => {
  const { blocked, lease, progress, settings: { handle }, store, writing } = session

  /** Handles activities from an index on, as many as fit; gives where it stopped, and why if one failed. */
  const batch = (page: ReadonlyArray<Activity>, from: number, most: number) =>
    store.transaction(Effect.gen(function*() {
      const clock = yield* Effect.clock
      yield* store.renew(lease)
      const until = clock.unsafeCurrentTimeMillis() + longestBatch
      const end = Math.min(page.length, from + most)
      let index = from
      let failure: Cause.Cause<unknown> | undefined
      while (index < end) {
        const activity = page[index]!
        const isFree = !blocked.has(activity) || (yield* session.parkBehind([activity])).length > 0
        if (isFree) {
          const exit = yield* Effect.exit(store.transaction(Effect.suspend(() => handle(activity))))
          if (Exit.isFailure(exit)) {
            failure = exit.cause
            break
          }
        }
        index++
        if (clock.unsafeCurrentTimeMillis() >= until) break
      }
      if (index > from) yield* store.move(lease, progress.written, page[index - 1]!.position)
      return { index, failure }
    }))

  return (page: ReadonlyArray<Activity>): Handling<R> =>
    Effect.gen(function*() {
      let most = batchSize
      for (let from = 0; from < page.length;) {
        const { failure, index } = yield* writing.withPermits(1)(
          Effect.tap(patiently(Effect.suspend(() => batch(page, from, most))), ({ index }) =>
            Effect.sync(() => {
              if (index > from) progress.commit(page[index - 1]!.position)
            }))
        ).pipe(
          // What a handler did may be refused only by the commit, and then it takes the others of its batch with it.
          Effect.catchIf((error) => error._tag === "StorageError" && error.reason === "other", (error) =>
            Effect.succeed({ index: from, failure: most === 1 ? Cause.fail(error) : undefined }))
        )
        if (failure === undefined) {
          most = index === from ? 1 : most
          from = index
        } else {
          from = (yield* session.failed(page[index]!, failure, attempts, true)) ? index : index + 1
        }
      }
    })
}
