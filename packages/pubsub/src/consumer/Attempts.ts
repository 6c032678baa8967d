import type { Activity, Position } from "@caravel/domain"
import { type Cause, Clock, Effect, type Schedule, ScheduleDecision, ScheduleIntervals } from "effect"

/** Counts the failed attempts at the current activity. The retry schedule starts again with each activity. */
export class Attempts<R> {
  /** How often the activity has failed. */
  count = 0
  private readonly schedule: Schedule.Schedule<unknown, Cause.Cause<unknown>, R>
  private position: Position | undefined
  private state: unknown

  constructor(schedule: Schedule.Schedule<unknown, Cause.Cause<unknown>, R>) {
    this.schedule = schedule
  }

  /** Counts a failure. Returns false if the schedule has ended; otherwise runs `before`, waits, and returns true. */
  readonly waitToRetry = <E>(
    activity: Activity,
    cause: Cause.Cause<unknown>,
    before: Effect.Effect<void, E>
  ): Effect.Effect<boolean, E, R> =>
    Effect.suspend(() => {
      if (this.position !== activity.position) {
        this.position = activity.position
        this.count = 0
        this.state = this.schedule.initial
      }
      this.count++
      return Effect.gen(this, function*() {
        const now = yield* Clock.currentTimeMillis
        const [state, , decision] = yield* this.schedule.step(now, cause, this.state)
        this.state = state
        if (ScheduleDecision.isDone(decision)) return false
        yield* before
        yield* Effect.sleep(Math.max(0, ScheduleIntervals.start(decision.intervals) - now))
        return true
      })
    })
}
