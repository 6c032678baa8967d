/** The types of changes, field by field. */
import type { RecordedEvent } from "../event/Event.js"
import type { RelayId, RelayState } from "../model/Relay.js"
import type { Pubkey, TenantState } from "../model/Tenant.js"

type ChangeOf<Fields> = {
  readonly [Field in keyof Fields]: {
    readonly field: Field
    readonly before: Fields[Field] | undefined
    readonly after: Fields[Field] | undefined
  }
}[keyof Fields]

/**
 * The change of one field; a side is undefined if the resource did not exist. The change of a secret holds references:
 * they say that the secret changed, never its value.
 *
 * @since 0.1.0
 * @category models
 */
export type Change = ChangeOf<TenantState> | ChangeOf<RelayState>

/**
 * An event and its changes, in the order of the resource's fields. There are none if the event set only values that the
 * resource already had.
 *
 * @since 0.1.0
 * @category models
 */
export interface HistoryEntry {
  readonly event: RecordedEvent
  readonly changes: ReadonlyArray<Change>
}

interface DifferenceOf<Type, Id, Fields> {
  readonly resourceType: Type
  readonly resourceId: Id
  /** Undefined if the resource did not exist, as in `changes`. */
  readonly before: Fields | undefined
  readonly after: Fields | undefined
  /** All fields that differ, including the version, in the order of the resource's fields. */
  readonly changes: ReadonlyArray<Change>
}

/**
 * The difference of one resource between two moments.
 *
 * @since 0.1.0
 * @category models
 */
export type Difference = DifferenceOf<"tenant", Pubkey, TenantState> | DifferenceOf<"relay", RelayId, RelayState>
