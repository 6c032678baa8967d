import { Effect, FiberRef, GlobalValue, Schema } from "effect"
import { type CallerMetadata, decodeMetadata, type Metadata } from "../model/Metadata.js"
import { ExpectedVersion } from "../model/Text.js"
import { IdempotencyKey } from "./IdempotencyKey.js"

/** What the commands of a fiber are sent with. */
export interface CommandContext {
  readonly metadata: Metadata
  readonly idempotencyKey: IdempotencyKey | undefined
  readonly expected: number | undefined
}

/**
 * Of the fiber, as Effect's own annotations of logs and spans are, and not of its context: a service that was built
 * elsewhere and provides the context of that place must not bring the command context of that place.
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

/** Runs an effect in a context that a decoded value changes. */
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
  Schema.decode(IdempotencyKey),
  (context, idempotencyKey) => ({ ...context, idempotencyKey })
)

export const expecting = changed(
  Schema.decode(ExpectedVersion),
  (context, expected) => ({ ...context, expected })
)
