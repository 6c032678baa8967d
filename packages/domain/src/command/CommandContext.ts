import { Effect, FiberRef, GlobalValue, Schema } from "effect"
import { type CallerMetadata, decodeMetadata, type Metadata } from "../model/Metadata.js"
import { ExpectedVersion } from "../model/Text.js"
import { IdempotencyKey } from "./IdempotencyKey.js"

/** What the commands of a fiber are sent with. */
export interface Circumstances {
  readonly metadata: Metadata
  readonly idempotencyKey: IdempotencyKey | undefined
  readonly expected: number | undefined
}

/**
 * Of the fiber, as Effect's own annotations of logs and spans are, and not of its context: a service that was built
 * elsewhere and provides the context of that place must not bring the circumstances of that place.
 */
export const circumstances = GlobalValue.globalValue(
  "@caravel/domain/circumstances",
  () =>
    FiberRef.unsafeMake<Circumstances>({
      metadata: {},
      idempotencyKey: undefined,
      expected: undefined
    })
)

/** Runs an effect in circumstances that a value, once it has been read, changes. */
const changed = <Value, Read, E2>(
  read: (value: Value) => Effect.Effect<Read, E2>,
  change: (circumstances: Circumstances, value: Read) => Circumstances
) =>
(value: Value) =>
<A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E | E2, R> =>
  Effect.flatMap(
    read(value),
    (value) => Effect.locallyWith(effect, circumstances, (circumstances) => change(circumstances, value))
  )

export const withMetadata = changed(
  (metadata: CallerMetadata) => decodeMetadata(metadata),
  (circumstances, metadata) => ({ ...circumstances, metadata: { ...circumstances.metadata, ...metadata } })
)

export const withIdempotencyKey = changed(
  Schema.decode(IdempotencyKey),
  (circumstances, idempotencyKey) => ({ ...circumstances, idempotencyKey })
)

export const expecting = changed(
  Schema.decode(ExpectedVersion),
  (circumstances, expected) => ({ ...circumstances, expected })
)
