import type { Position } from "@caravel/domain"
import { Context, Effect, Option } from "effect"
import { ConsumerWaitsForItself } from "./ConsumerError.js"
import type { Task } from "./Leases.js"
import type { LocalSignals } from "./LocalSignals.js"

interface Handler {
  readonly signals: LocalSignals
  readonly task: Task
  /** Whether the checkpoint can reach a position before the handler has ended. */
  readonly canReach: (position: Position) => boolean
}

/** The handler in which a fiber runs or was forked. */
export class CurrentHandler extends Context.Reference<CurrentHandler>()("@caravel/pubsub/CurrentHandler", {
  defaultValue: (): Option.Option<Handler> => Option.none()
}) {}

/** Fails if the fiber runs in a handler of the consumer for which `waitsFor` holds: it would wait for its own end. */
export const failInOwnHandler = (
  consumer: string,
  signals: LocalSignals,
  waitsFor: (handler: Handler) => boolean
): Effect.Effect<void, ConsumerWaitsForItself> =>
  Effect.flatMap(
    CurrentHandler,
    (current) =>
      Option.exists(current, (handler) => handler.signals === signals && waitsFor(handler))
        ? new ConsumerWaitsForItself({ consumer })
        : Effect.void
  )
