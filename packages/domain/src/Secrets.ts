import { Context, Effect, type ParseResult, Schema } from "effect"
import type { Command } from "./Command.js"
import {
  type IdempotencyConflict,
  StorageError,
  type TenantNotFound,
  type VersionConflict
} from "./command/CommandError.js"
import type { Activity } from "./model/Activity.js"
import { withSpan } from "./runtime/Span.js"

/**
 * What was to be erased is deleted, and no query gives it any more, but its bytes are still in the files of the database.
 * To recover, do what the cause calls for and erase, or rotate, once more.
 *
 * @since 0.1.0
 * @category errors
 */
export class SecretsRemain extends Schema.TaggedError<SecretsRemain>("@caravel/domain/SecretsRemain")("SecretsRemain", {
  cause: StorageError
}) {
  override get message() {
    return `What was deleted can still be found in the database's files. ${this.cause.message}`
  }
}

/**
 * How far a rotation is.
 *
 * @since 0.1.0
 * @category models
 */
export interface Rotation {
  /** How many secrets have been written anew. */
  readonly rotated: number
  /** How many there were to be. */
  readonly total: number
}

/**
 * The secrets beside the journal, of which the journal knows nothing but that they were there: how they are erased so
 * that no copy is left where they were stored, and encrypted with another key. What is done can be done again, by any
 * process, until it succeeds.
 *
 * Bytes cannot go before the transaction that deletes them is committed: inside one of the caller's, both fail with a
 * `StorageError` and do nothing.
 *
 * @example
 * ```ts
 * import * as assert from "node:assert"
 * import { Command, Query, Secrets } from "@caravel/domain"
 * import { Memory } from "@caravel/memory"
 * import { Effect, Option } from "effect"
 *
 * const pubkey = "ab".repeat(32)
 *
 * const program = Effect.gen(function*() {
 *   const command = yield* Command
 *   const secrets = yield* Secrets
 *   yield* command.createTenant({ pubkey, nwcUrl: "nostr+walletconnect://…" })
 *   const activity = yield* secrets.eraseTenantSecrets({ pubkey })
 *   assert.deepStrictEqual(activity.activityType, "update_tenant")
 *   const tenant = yield* Effect.flatMap(Query, (query) => query.tenant(pubkey))
 *   assert.deepStrictEqual(Option.getOrThrow(tenant).nwcUrl, null)
 * })
 *
 * await Effect.runPromise(Effect.provide(program, Memory.layer))
 * ```
 *
 * @since 0.1.0
 * @category services
 */
export class Secrets extends Context.Tag("@caravel/domain/Secrets")<Secrets, {
  /**
   * Clears the tenant's wallet URL, as `updateTenant` does, and leaves no byte of it in the files of the database, nor of
   * any other secret that has been replaced or cleared. Succeeds too if there is none any more.
   */
  readonly eraseTenantSecrets: (tenant: { readonly pubkey: string }) => Effect.Effect<
    Activity,
    TenantNotFound | VersionConflict | IdempotencyConflict | StorageError | SecretsRemain | ParseResult.ParseError
  >
  /**
   * Encrypts with the current key whatever is not: what is in clear, and what another key has encrypted. It does so in many
   * small transactions, between which others write, and leaves no byte of how it was stored before. Gives how many it has
   * written anew; none, if all were.
   */
  readonly rotate: (
    onStep?: (step: Rotation) => Effect.Effect<void>
  ) => Effect.Effect<number, StorageError | SecretsRemain>
}>() {
  /** The service over an adapter's ways to write the stored values anew, and to remove what deleted ones have left. */
  static readonly make = (adapter: {
    readonly command: typeof Command.Service
    readonly rotate: (onStep: (step: Rotation) => Effect.Effect<void>) => Effect.Effect<number, StorageError>
    readonly purge: Effect.Effect<void, StorageError>
  }): typeof Secrets.Service => {
    const purge = Effect.mapError(adapter.purge, (cause) => new SecretsRemain({ cause }))
    return {
      eraseTenantSecrets: ({ pubkey }) =>
        adapter.command.updateTenant({ pubkey, nwcUrl: null }).pipe(
          Effect.zipLeft(purge),
          withSpan("Secrets.eraseTenantSecrets")
        ),
      rotate: (onStep = () => Effect.void) =>
        adapter.rotate(onStep).pipe(Effect.zipLeft(purge), withSpan("Secrets.rotate"))
    }
  }
}
