/** The rows and activities of another database, as an import reads them, and the reasons to refuse them. */
import { type DateTime, type Either, Schema } from "effect"
import type { State } from "../decide/Decider.js"
import type { Activity } from "../model/Activity.js"
import type { EventId } from "../model/EventId.js"
import type { Metadata } from "../model/Metadata.js"
import type { RelayState } from "../model/Relay.js"
import type { Tenant } from "../model/Tenant.js"

/**
 * A tenant in another database. It has no version: an import counts versions from 1.
 *
 * @since 0.1.0
 * @category models
 */
export interface TenantRow extends Omit<Schema.Struct.Type<typeof Tenant.fields>, "version"> {}

/**
 * A relay in another database.
 *
 * @since 0.1.0
 * @category models
 */
export interface RelayRow extends Omit<RelayState, "version"> {}

/**
 * An activity in another database.
 *
 * @since 0.1.0
 * @category models
 */
export interface ActivityRow extends Omit<Schema.Struct.Type<typeof Activity.fields>, "position"> {
  /** The activity's id in the other database, if it is not a valid id here. */
  readonly formerId: string | undefined
}

/**
 * The reasons to refuse a row or an activity:
 *
 * - `malformed`: a field does not match the model.
 * - `missing`: the row of its resource, or of its tenant, does not exist.
 * - `duplicate`: its key, id or subdomain is taken.
 * - `exists`: the resource already exists here, and commands other than this import have changed it.
 * - `contradictory`: it contradicts the rows.
 * - `dependent`: its resource or its tenant is refused.
 *
 * @since 0.1.0
 * @category models
 */
export const RefusalKind = Schema.Literal("malformed", "missing", "duplicate", "exists", "contradictory", "dependent")

/**
 * The reason to refuse a row or an activity: `kind` for programs, `reason` for people.
 *
 * @since 0.1.0
 * @category models
 */
export interface Why {
  readonly kind: typeof RefusalKind.Type
  readonly reason: string
}

/**
 * The input that a batch of an import depends on.
 *
 * @since 0.1.0
 * @category models
 */
export interface ImportContext {
  /** The state of the batch's resources in this database, and of the relays that have their subdomains. */
  readonly state: State
  /** The resources that something other than this import has changed, by `resourceKey`. */
  readonly foreign: ReadonlySet<string>
  /** The ids of the batch's activities that are already taken. */
  readonly ids: ReadonlySet<string>
  /** The rows of the batch in the other database, or why they are refused. */
  readonly tenants: ReadonlyMap<string, Either.Either<TenantRow, Why>>
  readonly relays: ReadonlyMap<string, Either.Either<RelayRow, Why>>
  /** When the import started. It is the instant of reconciling events. */
  readonly startedAt: DateTime.Utc
  readonly metadata: Metadata
  /** The id of an event that has no activity: the same name always returns the same id. */
  readonly idOf: (name: string) => EventId
}
