import type { Activity } from "@caravel/domain"
import { Effect, type LogLevel } from "effect"

/** Logs that a handler has failed, at which activity and attempt, and what follows. */
export const logFailure = (
  level: LogLevel.LogLevel,
  consumer: string,
  { activityType, position, resourceId, resourceType }: Activity,
  attempt: number,
  error: string,
  consequence: string
): Effect.Effect<void> =>
  Effect.annotateLogs(
    Effect.logWithLevel(
      level,
      `Consumer ${consumer} failed at position ${position} (${activityType} of ${resourceType} ${resourceId}), ` +
        `attempt ${attempt}, and ${consequence}: ${error}`
    ),
    { consumer, position, activityType, resourceId, attempt }
  )
