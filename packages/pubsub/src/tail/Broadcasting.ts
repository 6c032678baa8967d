import type { Position } from "@caravel/domain"
import { nextTurn } from "@caravel/domain/adapter"
import { Effect } from "effect"
import * as Background from "../runtime/Background.js"
import * as Backoff from "../runtime/Backoff.js"
import { retryWhile } from "../runtime/Waiting.js"
import type { CheckedLog } from "./CheckedLog.js"
import { pageSize } from "./Subscription.js"
import type { Ended } from "./Window.js"

/** Advances the window of a log to a position or to the head; in the background while the journal cannot be read. */
export const makeBroadcasting = ({ fail, readPage, window }: CheckedLog) =>
  Effect.gen(function*() {
    /** Broadcasts everything up to a position, or up to the head, at which it checks the journal at least once. */
    const advance = (upTo?: Position): Effect.Effect<void, Ended> =>
      Effect.suspend(() => {
        const from = window.position
        if (upTo !== undefined && from >= upTo) return Effect.void
        return Effect.flatMap(readPage(from, upTo), ({ activities, head }) => {
          const end = upTo ?? head
          const last = activities.length < pageSize ? end : activities[activities.length - 1]!.position
          // Another fiber may have broadcast these activities meanwhile.
          if (window.position === from && last > from) window.advance(activities, last)
          return last < end ? Effect.zipRight(nextTurn, advance(end)) : advance(end)
        })
      })

    const unlessEnded = (broadcast: Effect.Effect<unknown, Ended>) =>
      Effect.suspend(() => window.failure === undefined ? broadcast : Effect.void).pipe(
        Effect.asVoid,
        Effect.catchAll((error) => isFinal(error) ? fail(error) : Effect.fail(error))
      )

    const behind = yield* Effect.makeLatch()
    // An outage is logged once, however many wake-ups encounter it.
    let isLogged = false
    const logOutage = (message: string) =>
      Effect.suspend(() => {
        if (isLogged) return Effect.void
        isLogged = true
        return Effect.logWarning(`The journal cannot be read for broadcasting at present; retrying. ${message}`)
      })
    const logEndOfOutage = Effect.suspend(() => {
      if (!isLogged || window.failure !== undefined) return Effect.void
      isLogged = false
      return Effect.logInfo("The journal can be read again; everything is broadcast")
    })
    yield* Background.run(
      "Broadcasting",
      Effect.forever(
        Effect.all([
          behind.await,
          behind.close,
          retryWhile(() => true, Backoff.untilAvailable)(unlessEnded(advance())),
          logEndOfOutage
        ])
      )
    )

    /** Broadcasts now or, if the journal cannot be read, in the background. */
    const nowOrLater = (broadcast: Effect.Effect<unknown, Ended>): Effect.Effect<void> =>
      Effect.catchAll(unlessEnded(broadcast), ({ message }) => Effect.zipRight(logOutage(message), behind.open))

    return {
      advanceTo: (position: Position) => nowOrLater(advance(position)),
      advanceToHead: nowOrLater(advance())
    }
  })

/** Whether retrying cannot help. */
const isFinal = (error: Ended) => error._tag === "PositionFromOtherEpoch" || error.reason === "replaced"
