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
 * The secrets were deleted or re-encrypted and no query returns the old data, but its bytes are still in the database's
 * files. To recover, fix the cause and run the erasure or the rotation again.
 *
 * @since 0.1.0
 * @category errors
 */
export class SecretsRemain extends Schema.TaggedError<SecretsRemain>("@caravel/domain/SecretsRemain")("SecretsRemain", {
  cause: StorageError
}) {
  override get message() {
    return `Deleted secrets can still be found in the database's files. ${this.cause.message}`
  }
}

/**
 * The progress of a rotation.
 *
 * @since 0.1.0
 * @category models
 */
export interface Rotation {
  /** The number of secrets re-encrypted so far. */
  readonly rotated: number
  /** The number of secrets to re-encrypt. */
  readonly total: number
}

/**
 * The secrets, which are stored outside the journal; events hold only references to them. A secret can be erased so
 * that no copy remains in storage, and re-encrypted with another key. Both operations can be repeated by any process
 * until they succeed.
 *
 * Bytes can be removed only after the transaction that deletes them has committed. Inside a transaction of the caller,
 * both operations fail with a `StorageError` and change nothing.
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
   * Clears the tenant's wallet URL, as `updateTenant` does, and removes every byte of it from the database's files, as
   * well as the bytes of all secrets that were replaced or cleared earlier. Succeeds even if the tenant has no wallet
   * URL.
   */
  readonly eraseTenantSecrets: (tenant: { readonly pubkey: string }) => Effect.Effect<
    Activity,
    TenantNotFound | VersionConflict | IdempotencyConflict | StorageError | SecretsRemain | ParseResult.ParseError
  >
  /**
   * Encrypts with the current key all secrets that are in clear text or encrypted with another key. The work is done in
   * many small transactions, and other writers can commit between them. No byte of the earlier stored form remains.
   * Returns the number of secrets that were re-encrypted, 0 if all were current.
   */
  readonly rotate: (
    onStep?: (step: Rotation) => Effect.Effect<void>
  ) => Effect.Effect<number, StorageError | SecretsRemain>
}>() {
  /** Builds the service on an adapter's functions to re-encrypt stored secrets and to purge deleted bytes. */
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
