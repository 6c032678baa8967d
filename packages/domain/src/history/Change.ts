/** What changed, field by field. */
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
 * What became of one field; undefined where there was no such resource. Of a secret it has the references, which tell
 * that it changed and never to what.
 *
 * @since 0.1.0
 * @category models
 */
export type Change = ChangeOf<TenantState> | ChangeOf<RelayState>

/**
 * An event, and what it changed: nothing, where it set what was so already.
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
  /** Undefined where there was no such resource, as in its changes. */
  readonly before: Fields | undefined
  readonly after: Fields | undefined
  /** All fields that differ, the version among them. */
  readonly changes: ReadonlyArray<Change>
}

/**
 * What became of one resource between two moments.
 *
 * @since 0.1.0
 * @category models
 */
export type Difference = DifferenceOf<"tenant", Pubkey, TenantState> | DifferenceOf<"relay", RelayId, RelayState>
