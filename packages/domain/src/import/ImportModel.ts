/** Another database's rows and activities as an import has them, and why it refuses some. */
import { type DateTime, type Either, Schema } from "effect"
import type { State } from "../decide/Decider.js"
import type { Activity } from "../model/Activity.js"
import type { EventId } from "../model/EventId.js"
import type { Metadata } from "../model/Metadata.js"
import type { RelayState } from "../model/Relay.js"
import type { Tenant } from "../model/Tenant.js"

/**
 * A tenant as another database has it. Versions are counted here anew.
 *
 * @since 0.1.0
 * @category models
 */
export interface TenantRow extends Omit<Schema.Struct.Type<typeof Tenant.fields>, "version"> {}

/**
 * A relay as another database has it.
 *
 * @since 0.1.0
 * @category models
 */
export interface RelayRow extends Omit<RelayState, "version"> {}

/**
 * An activity as another database has it.
 *
 * @since 0.1.0
 * @category models
 */
export interface ActivityRow extends Omit<Schema.Struct.Type<typeof Activity.fields>, "position"> {
  /** What the activity was called there, if that can be no id here. */
  readonly formerId: string | undefined
}

/**
 * Why something is refused:
 *
 * - `malformed`: a field is not what the model asks for.
 * - `missing`: what it is about is not there.
 * - `duplicate`: something else has its key, its id or its subdomain.
 * - `exists`: it is here already, and not by this import alone.
 * - `contradictory`: it says something else than the rows.
 * - `dependent`: what it is about, or whom it belongs to, is refused.
 *
 * @since 0.1.0
 * @category models
 */
export const RefusalKind = Schema.Literal("malformed", "missing", "duplicate", "exists", "contradictory", "dependent")

/**
 * Why a row or an activity is refused, for programs and for people.
 *
 * @since 0.1.0
 * @category models
 */
export interface Why {
  readonly kind: typeof RefusalKind.Type
  readonly reason: string
}

/**
 * What a batch of an import depends on.
 *
 * @since 0.1.0
 * @category models
 */
export interface ImportContext {
  /** The resources here that it touches, and the owners of their subdomains. */
  readonly state: State
  /** Those of them that others have touched, by `resourceKey`. */
  readonly foreign: ReadonlySet<string>
  /** Those of its activities' ids that are taken here. */
  readonly ids: ReadonlySet<string>
  /** The rows that it touches there, or what is wrong with them. */
  readonly tenants: ReadonlyMap<string, Either.Either<TenantRow, Why>>
  readonly relays: ReadonlyMap<string, Either.Either<RelayRow, Why>>
  /** When the import began: what it adds to the log happened then. */
  readonly startedAt: DateTime.Utc
  readonly metadata: Metadata
  /** The id of an event that no activity gives one: always the same for the same name. */
  readonly idOf: (name: string) => EventId
}
