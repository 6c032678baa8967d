import { Effect, FiberRef, GlobalValue } from "effect"
import { decodeInput } from "../model/Decoding.js"
import { type CallerMetadata, decodeMetadata, type Metadata } from "../model/Metadata.js"
import { ExpectedVersion } from "../model/Text.js"
import { IdempotencyKey } from "./IdempotencyKey.js"

/** The context that a fiber's commands are sent with. */
export interface CommandContext {
  readonly metadata: Metadata
  readonly idempotencyKey: IdempotencyKey | undefined
  readonly expected: number | undefined
}

/**
 * Stored in the fiber, like Effect's annotations of logs and spans, and not in its `Context`. A service that was built
 * elsewhere and provides its own `Context` must not replace the caller's command context.
 */
export const commandContext = GlobalValue.globalValue(
  "@caravel/domain/commandContext",
  () =>
    FiberRef.unsafeMake<CommandContext>({
      metadata: {},
      idempotencyKey: undefined,
      expected: undefined
    })
)

/** Runs an effect in a command context that is changed by a decoded value. */
const changed = <Value, Read, E2>(
  read: (value: Value) => Effect.Effect<Read, E2>,
  change: (context: CommandContext, value: Read) => CommandContext
) =>
(value: Value) =>
<A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E | E2, R> =>
  Effect.flatMap(
    read(value),
    (value) => Effect.locallyWith(effect, commandContext, (context) => change(context, value))
  )

export const withMetadata = changed(
  (metadata: CallerMetadata) => decodeMetadata(metadata),
  (context, metadata) => ({ ...context, metadata: { ...context.metadata, ...metadata } })
)

export const withIdempotencyKey = changed(
  decodeInput(IdempotencyKey),
  (context, idempotencyKey) => ({ ...context, idempotencyKey })
)

export const expecting = changed(
  decodeInput(ExpectedVersion),
  (context, expected) => ({ ...context, expected })
)
