/** What may be used only once: the signatures of requests. */
import type { StorageError } from "@caravel/domain"
import { Clock, Context, Effect, Layer } from "effect"

/**
 * Remembers ids that have been used, until they expire.
 *
 * @since 0.1.0
 * @category services
 */
export class SingleUse extends Context.Tag("@caravel/http/SingleUse")<SingleUse, {
  /**
   * Uses an id. Returns false if it has been used before, by any process that shares the storage. The id may be
   * forgotten after `expiresAt`, in milliseconds since 1970.
   */
  readonly use: (id: string, expiresAt: number) => Effect.Effect<boolean, StorageError>
}>() {}

/**
 * In memory: for tests, and for a host that is the only one. It knows nothing of what was used before it started.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerMemory: Layer.Layer<SingleUse> = Layer.sync(SingleUse, () => {
  const used = new Map<string, number>()
  return {
    use: (id, expiresAt) =>
      Effect.map(Clock.currentTimeMillis, (now) => {
        for (const [old, until] of used) if (until < now) used.delete(old)
        return !used.has(id) && used.set(id, expiresAt).size > 0
      })
  }
})
