/** A consumer that handles several activities at once: in order within a resource. */
import type { PositionFromOtherEpoch, StorageError } from "@caravel/domain"
import { Effect, Exit } from "effect"
import { Attempts } from "./Attempts.js"
import type { ConsumerHalted } from "./ConsumerError.js"
import type { LeaseLost } from "./ConsumerStore.js"
import { type Lane, Lanes } from "./Lanes.js"
import { patiently } from "./Patiently.js"
import type { Session } from "./Session.js"

/** Reads ahead, while so many workers take a resource each at a time. */
export const concurrent = <E, R>(
  session: Session<E, R>
): Effect.Effect<never, StorageError | PositionFromOtherEpoch | LeaseLost | ConsumerHalted, R> =>
  Effect.suspend(() => {
    const { blocked, held, inFlight, progress, settings } = session
    const lanes = new Lanes(progress.position)

    const reading = (after = progress.position): Effect.Effect<never, StorageError | PositionFromOtherEpoch> =>
      Effect.zipRight(lanes.room, session.page(after)).pipe(
        Effect.flatMap(({ activities, last }) => {
          lanes.add(activities, last)
          if (activities.length === 0) progress.advance(lanes.done)
          return reading(last)
        })
      )

    const complete = (lane: Lane, count = 1) => {
      lanes.complete(lane, count)
      progress.advance(lanes.done)
    }

    /** Parks all of a lane that is blocked; gives false if it is free again. */
    const parked = (lane: Lane) =>
      Effect.suspend(() => {
        const activities = lane.map(({ activity }) => activity)
        return Effect.map(patiently(session.parkBehind(activities)), (free) => {
          if (free.length > 0) return false
          complete(lane, activities.length)
          return true
        })
      })

    const handle = (lane: Lane, attempts: Attempts<R>) => {
      const { activity } = lane[0]!
      const attempt: Effect.Effect<void, StorageError | LeaseLost | ConsumerHalted, R> = Effect.flatMap(
        Effect.exit(inFlight.track(
          () => activity,
          Effect.map(Effect.suspend(() => settings.handle(activity)), () => complete(lane))
        )),
        (exit) =>
          Exit.isSuccess(exit)
            ? Effect.void
            : Effect.flatMap(
              session.failed(activity, exit.cause, attempts, false),
              (again) => again ? Effect.zipRight(held.confirm, attempt) : Effect.sync(() => complete(lane))
            )
      )
      return attempt
    }

    const work = (attempts: Attempts<R>) =>
      Effect.flatMap(lanes.take, (lane) => {
        const { activity } = lane[0]!
        return held.confirm.pipe(
          Effect.zipRight(blocked.has(activity) ? parked(lane) : Effect.succeed(false)),
          Effect.flatMap((parked) => parked ? Effect.void : handle(lane, attempts)),
          Effect.map(() => lanes.release(lane, activity))
        )
      })

    const workers = Array.from({ length: settings.concurrency }, () =>
      Effect.suspend(() => Effect.forever(work(new Attempts(settings.retry)))))
    return Effect.zipRight(
      Effect.all([reading(), ...workers], { concurrency: "unbounded", discard: true }),
      Effect.never
    )
  })
