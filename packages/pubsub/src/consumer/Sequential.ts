/** A consumer that handles one activity after another. */
import type { Activity, Position, PositionFromOtherEpoch, StorageError } from "@caravel/domain"
import { Effect, Exit } from "effect"
import { sleep, Waiting } from "../runtime/Waiting.js"
import { Attempts } from "./Attempts.js"
import type { ConsumerHalted } from "./ConsumerError.js"
import type { LeaseLost } from "./ConsumerStore.js"
import { patiently } from "./Patiently.js"
import type { PageHandling, Session } from "./Session.js"
import { inTransactions } from "./Transactional.js"

/** How long the event loop may be kept, in milliseconds, before timers and sockets get their turn. */
const longestTurn = 20

/** Handles page after page, from a position on. */
export const sequential = <E, R>(
  session: Session<E, R>
): Effect.Effect<never, StorageError | PositionFromOtherEpoch | LeaseLost | ConsumerHalted, R> =>
  Effect.gen(function*() {
    const { held, progress, settings } = session
    const attempts = new Attempts(settings.retry)
    const handle = settings.transactional ? inTransactions(session, attempts) : directly(session, attempts)
    let position: Position = progress.position
    const clock = yield* Waiting
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
        yield* sleep(0)
        since = clock.unsafeCurrentTimeMillis()
      }
    }
  })

/** What is done moves the checkpoint later, once for many: after a crash, some are handled again. */
const directly = <E, R>(session: Session<E, R>, attempts: Attempts<R>) => {
  const { blocked, held, inFlight, progress, settings: { handle } } = session

  const handlePage = (page: ReadonlyArray<Activity>): PageHandling<R> =>
    Effect.suspend(() => {
      let index = 0
      const behind: Array<Activity> = []

      // A loop with nothing in it but the handler: this is what catching up costs. A handler may have kept the event loop, or
      // the process been stopped, for longer than the lease lasts.
      const handling = inFlight.track(
        () => page[index]!,
        Effect.whileLoop({
          while: () => index < page.length && !inFlight.stopping && held.isSure(),
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
      )
      const rest: PageHandling<R> = Effect.flatMap(Effect.exit(handling), (exit) =>
        Exit.isFailure(exit)
          ? Effect.flatMap(session.failed(page[index]!, exit.cause, attempts, behind.length === 0), (again) => {
            if (!again) index++
            return Effect.zipRight(held.confirm, rest)
          })
          : index < page.length
          ? Effect.zipRight(held.confirm, rest)
          : Effect.void)

      return Effect.flatMap(rest, () =>
        behind.length === 0 ? Effect.void : Effect.flatMap(
          patiently(Effect.suspend(() => session.parkBehind(behind))),
          (free) => free.length === 0 ? Effect.void : handlePage(free)
        ))
    })

  return handlePage
}
