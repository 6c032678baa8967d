import type { Position } from "@caravel/domain"
import { Context, Effect, Option } from "effect"
import { ConsumerWaitsForItself } from "./ConsumerError.js"
import type { Task } from "./ConsumerStore.js"
import type { Local } from "./Local.js"

/** The consumer whose handler a fiber is in, or was forked in. */
export class Handling extends Context.Reference<Handling>()("@caravel/pubsub/Handling", {
  defaultValue: (): Option.Option<{
    readonly local: Local
    readonly task: Task
    /** Whether its checkpoint can move up to there before the handler has ended. */
    readonly canReach: (position: Position) => boolean
  }> => Option.none()
}) {}

/** Fails in a handler of the same consumer that is asked to wait for what comes only after it. */
export const unlessOwn = (
  consumer: string,
  local: Local,
  waits: (handling: { readonly task: Task; readonly canReach: (position: Position) => boolean }) => boolean
): Effect.Effect<void, ConsumerWaitsForItself> =>
  Effect.flatMap(
    Handling,
    (handling) =>
      Option.exists(handling, (handling) => handling.local === local && waits(handling))
        ? new ConsumerWaitsForItself({ consumer })
        : Effect.void
  )
