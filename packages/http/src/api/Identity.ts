/** On whose behalf a request is executed. */
import { type Pubkey } from "@caravel/domain"
import { expected } from "@caravel/domain/adapter"
import { Context, type Effect, Schema } from "effect"

/**
 * What a credential is for:
 *
 * - `admin`: everything, except for what needs a grant.
 * - `worker`: what billing and provisioning do, and all reads.
 * - `readOnly`: all reads.
 * - `tenant`: the tenant's own resources.
 *
 * @since 0.1.0
 * @category models
 */
export const Role = Schema.Literal("admin", "worker", "readOnly", "tenant").annotations(
  expected("a role: admin, worker, readOnly or tenant")
)

/**
 * @since 0.1.0
 * @category models
 */
export type Role = typeof Role.Type

/**
 * What a credential may do only if it says so, whatever its role is. `secrets`: read wallet URLs.
 *
 * @since 0.1.0
 * @category models
 */
export const Grant = Schema.Literal("secrets").annotations(expected("a grant: secrets"))

/**
 * @since 0.1.0
 * @category models
 */
export type Grant = typeof Grant.Type

/**
 * The identity of the credential that a request came with. `Authentication` provides it to handlers.
 *
 * @since 0.1.0
 * @category services
 */
export class Identity extends Context.Tag("@caravel/http/Identity")<Identity, {
  readonly role: Role
  /** The name in the metadata of events; absent on a host without credentials. */
  readonly actor: string | undefined
  /** The tenant whose resources it may use; absent unless the role is `tenant`. */
  readonly tenant: Pubkey | undefined
  readonly grants: ReadonlyArray<Grant>
  /** Whether the credential is still valid. Responses that do not end look again from time to time. */
  readonly isValid: Effect.Effect<boolean>
}>() {}
