/** The errors of commands. Each method's error channel names only the errors that it can fail with. */
import { Schema } from "effect"
import { RelayId, Subdomain } from "../model/Relay.js"
import { Pubkey } from "../model/Tenant.js"
import { ExpectedVersion } from "../model/Text.js"

/**
 * A tenant with this pubkey already exists. To recover, use `updateTenant`, or treat the tenant as created.
 *
 * @since 0.1.0
 * @category errors
 */
export class TenantAlreadyExists extends Schema.TaggedError<TenantAlreadyExists>("@caravel/domain/TenantAlreadyExists")(
  "TenantAlreadyExists",
  { pubkey: Pubkey }
) {
  override get message() {
    return `Tenant ${this.pubkey} already exists; use updateTenant to change it`
  }
}

/**
 * There is no tenant with this pubkey. To recover, create it first.
 *
 * @since 0.1.0
 * @category errors
 */
export class TenantNotFound extends Schema.TaggedError<TenantNotFound>("@caravel/domain/TenantNotFound")(
  "TenantNotFound",
  { pubkey: Pubkey }
) {
  override get message() {
    return `Tenant ${this.pubkey} does not exist; create it with createTenant first`
  }
}

/**
 * A relay with this id already exists. To recover, choose another id, use `updateRelay`, or treat the relay as created.
 *
 * @since 0.1.0
 * @category errors
 */
export class RelayAlreadyExists extends Schema.TaggedError<RelayAlreadyExists>("@caravel/domain/RelayAlreadyExists")(
  "RelayAlreadyExists",
  { id: RelayId }
) {
  override get message() {
    return `Relay ${this.id} already exists; choose another id, or use updateRelay to change it`
  }
}

/**
 * There is no relay with this id. To recover, create it first.
 *
 * @since 0.1.0
 * @category errors
 */
export class RelayNotFound extends Schema.TaggedError<RelayNotFound>("@caravel/domain/RelayNotFound")(
  "RelayNotFound",
  { id: RelayId }
) {
  override get message() {
    return `Relay ${this.id} does not exist; create it with createRelay first`
  }
}

/**
 * Another relay has this subdomain, whatever that relay's status. To recover, choose another one.
 *
 * @since 0.1.0
 * @category errors
 */
export class SubdomainTaken extends Schema.TaggedError<SubdomainTaken>("@caravel/domain/SubdomainTaken")(
  "SubdomainTaken",
  { subdomain: Subdomain }
) {
  override get message() {
    return `Subdomain ${this.subdomain} belongs to another relay; choose another one`
  }
}

/**
 * The resource is not at the version that `Command.expecting` named: it has changed since the caller read it. To
 * recover, read it again and decide again. 0 is the version of a resource that does not exist.
 *
 * @since 0.1.0
 * @category errors
 */
export class VersionConflict extends Schema.TaggedError<VersionConflict>("@caravel/domain/VersionConflict")(
  "VersionConflict",
  { expected: ExpectedVersion, actual: ExpectedVersion }
) {
  override get message() {
    const { actual, expected } = this
    const is = actual === 0 ? "does not exist yet" : `is at version ${actual}`
    return `The resource ${is}, not at version ${expected}; read it again before changing it`
  }
}

/**
 * The idempotency key was used for a different command, or for the same command with other values. To recover, use a
 * new key for each command, and reuse a key only to retry the same command.
 *
 * @since 0.1.0
 * @category errors
 */
export class IdempotencyConflict extends Schema.TaggedError<IdempotencyConflict>("@caravel/domain/IdempotencyConflict")(
  "IdempotencyConflict",
  { key: Schema.String }
) {
  override get message() {
    return `Idempotency key ${JSON.stringify(this.key)} belongs to a different command; use a new key for this one`
  }
}

const advice = {
  busy: "another process holds the database; try again",
  unavailable: "the database cannot be reached; try again",
  full: "the disk or the database is full; make room and try again",
  corrupt: "the database is damaged or not a Caravel database; restore a backup or name another one",
  readonly: "the database cannot be written; check the permissions",
  commitUnknown: "the connection was lost during the commit; look up what was written before trying again",
  key: "configure the key that it needs and try again",
  newer: "written by a newer version; use a newer Caravel",
  older: "it has the schema of an older version; migrate it",
  missing: "create it, or name another one",
  replaced: "open the database again",
  // The cause itself is the advice.
  other: undefined
}

/**
 * The reason of a storage failure. `busy`, `unavailable`, `full`, `readonly` and `key` can be fixed from outside; then
 * retry the command. After `replaced` the layer must be built again: the database was restored, or its file replaced,
 * while it was open.
 *
 * @since 0.1.0
 * @category errors
 */
export const StorageErrorReason = Schema.Literal(
  "busy",
  "unavailable",
  "full",
  "corrupt",
  "readonly",
  "commitUnknown",
  "key",
  "newer",
  "older",
  "missing",
  "replaced",
  "other"
)

/**
 * @since 0.1.0
 * @category errors
 */
export type StorageErrorReason = typeof StorageErrorReason.Type

/**
 * The storage failed. Nothing was written, unless the reason is `commitUnknown`. To recover, fix the cause that
 * `reason` names and try again.
 *
 * @since 0.1.0
 * @category errors
 */
export class StorageError extends Schema.TaggedError<StorageError>("@caravel/domain/StorageError")("StorageError", {
  reason: StorageErrorReason,
  /** The operation that failed, such as "commit". */
  operation: Schema.String,
  cause: Schema.Defect,
  /** What to do, if the storage has more specific advice than the reason. */
  advice: Schema.optional(Schema.String),
  /**
   * Whether the failure is temporary although its reason does not imply it. `busy` and `unavailable` are always
   * temporary.
   */
  passes: Schema.optional(Schema.Boolean)
}) {
  override get message() {
    const cause = this.cause instanceof Error ? this.cause.message : String(this.cause)
    const toDo = this.advice ?? advice[this.reason]
    return `Storage failed at ${this.operation}: ${cause}${toDo === undefined ? "" : ` (${toDo})`}`
  }
}
