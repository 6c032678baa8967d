/** Compares the rows with the journal. */
import { Equal, Option } from "effect"
import { evolveRelay, evolveTenant } from "../decide/Decider.js"
import type { ClockFinding } from "../event/ClockJump.js"
import type { RecordedEvent } from "../event/Event.js"
import { creationOf, isImport, resourceTypeOf } from "../event/EventTable.js"
import { Position, type ResourceType } from "../model/Activity.js"
import type { RelayState } from "../model/Relay.js"
import { fieldIn, resources, type ResourceState, stateFields } from "../model/Resource.js"
import type { Pubkey, SecretId, TenantState } from "../model/Tenant.js"
import type { Drift } from "./Drift.js"
import { type Found, shown, shownRow } from "./Shown.js"

/**
 * A step of a verification: its progress, and what it has found since the previous step.
 *
 * @since 0.1.0
 * @category models
 */
export interface Verification {
  /** The number of events folded so far. */
  readonly events: number
  /** The last position that is verified, and so the maximum number of events to fold. */
  readonly head: Position
  /** The numbers of tenants, relays and secrets compared so far. */
  readonly tenants: number
  readonly relays: number
  readonly secrets: number
  readonly differences: ReadonlyArray<Drift>
  /** Wrong clocks. The rows may agree with the journal even if clocks were wrong. */
  readonly clocks: ReadonlyArray<ClockFinding>
}

/**
 * Folds the events of one resource as they are read, and compares the result with the stored row.
 *
 * @since 0.1.0
 * @category models
 */
export class ResourceVerifier {
  /** Whether the events are complete and consistent, so that the row must equal their result. */
  isSound = true
  readonly resourceType: ResourceType
  readonly resourceId: string
  private readonly onDrift: (drift: Drift) => void
  private state: Option.Option<ResourceState> = Option.none()
  private version = 0
  private position: Position = Position.make(0)
  /** For each field, the position of the event that last set it. */
  private readonly touched: { [field: string]: Position } = {}

  constructor(resourceType: ResourceType, resourceId: string, onDrift: (drift: Drift) => void) {
    this.resourceType = resourceType
    this.resourceId = resourceId
    this.onDrift = onDrift
  }

  /** Adds the next event of the resource. */
  add(event: RecordedEvent): void {
    const { _tag, changes, position, version } = event
    const creation = creationOf(this.resourceType)
    if (resourceTypeOf(_tag) !== this.resourceType) {
      this.isSound = false
      return this.inconsistent(position, "resourceType", resourceTypeOf(_tag), this.resourceType)
    }
    if (version !== this.version + 1) {
      this.isSound = false
      this.inconsistent(position, "version", this.version + 1, version)
    } else if (!isImport(_tag) && (_tag === creation) !== (version === 1)) {
      this.isSound = false
      this.inconsistent(position, "type", version === 1 ? creation : "a change", _tag)
    }
    if (position < this.position) this.inconsistent(position, "position", `more than ${this.position}`, position)
    // The tag belongs to this resource's type, and so does the state.
    this.state = event.resourceType === "tenant"
      ? evolveTenant(this.state as Option.Option<TenantState>, event)
      : evolveRelay(this.state as Option.Option<RelayState>, event)
    const { row } = this
    const owner = row === undefined ? event.tenant : fieldIn(row, resources[this.resourceType].owner)
    if (event.tenant !== owner) this.inconsistent(position, "tenant", owner, event.tenant)
    if (version === 1) { for (const field in row) this.touched[field] = position }
    else for (const field in changes) this.touched[field] = position
    this.touched["version"] = position
    this.version = version
    this.position = position
  }

  /** Adds the next event, which cannot be read because of the value of `field`. */
  addUnreadable({ field, position, version }: {
    readonly position: Position
    readonly version: number
    readonly field: string
  }): void {
    this.isSound = false
    this.version = version
    this.report("unreadable", field, null, null, position)
  }

  /** Reports a field of an event that contradicts the rest of the event or earlier events. */
  inconsistent(position: Position, field: string, expected: unknown, found: unknown): void {
    this.report("inconsistent", field, expected, found, position)
  }

  /** The row that the events result in; undefined if they do not start with a creation. */
  get row(): ResourceState | undefined {
    return Option.getOrUndefined(this.state)
  }

  /** The secret that the row must refer to, or null. */
  get secret(): SecretId | null {
    const { row } = this
    const { secret } = resources[this.resourceType]
    return row === undefined || secret === undefined ? null : fieldIn(row, secret) as SecretId | null
  }

  /**
   * Compares the row with the stored one, if there is one, and returns whether they are equal. A secret that is not
   * stored is reported as `lost`; the stored row may then have no reference.
   */
  compare(found: Found | undefined, isSecretKept: (id: SecretId) => boolean): boolean {
    const row: Found | undefined = this.isSound ? { ...this.row } : undefined
    if (row === undefined) return true
    const { secret } = this
    const isLost = secret !== null && !isSecretKept(secret)
    const secretField = resources[this.resourceType].secret
    const isSame = this.compareFields(row, found, isLost ? secretField : undefined)
    if (isLost && secretField !== undefined) {
      this.report("lost", secretField, secret, null, this.setAt(secretField))
    }
    return isSame
  }

  /** Compares the rows field by field. The field whose secret is lost may be null. */
  private compareFields(row: Found, found: Found | undefined, lost: string | undefined): boolean {
    if (found === undefined) {
      this.report("missing", null, shownRow(row), null, this.position)
      return false
    }
    const different = stateFields[this.resourceType].filter((field) =>
      !Equal.equals(row[field], found[field]) && !(field === lost && found[field] === null)
    )
    for (const field of different) {
      this.report("field", field, shown(field, row[field]), shown(field, found[field]), this.setAt(field))
    }
    return different.length === 0
  }

  /** The position of the event that last set a field. */
  readonly setAt = (field: string): Position => this.touched[field] ?? this.position

  /** Reports that the journal has no such tenant, so that the relay's row cannot exist. */
  ownerless(tenant: Pubkey): void {
    this.isSound = false
    this.inconsistent(this.setAt("tenant"), "tenant", "a tenant that was created", tenant)
  }

  private report(
    kind: Drift["kind"],
    field: string | null,
    expected: unknown,
    found: unknown,
    position: Position
  ): void {
    const { resourceId, resourceType } = this
    this.onDrift({ kind, resourceType, resourceId, field, expected, found, position })
  }
}
