/** Whether the rows say what the journal says: how it is found out. */
import { Equal, Option, Record } from "effect"
import { commandTable } from "../command/CommandTable.js"
import { evolveRelay, evolveTenant } from "../decide/Decider.js"
import type { ClockFinding } from "../event/ClockJump.js"
import type { RecordedEvent } from "../event/Event.js"
import { isImport, resourceTypeOf } from "../event/EventTable.js"
import { Position, type ResourceType } from "../model/Activity.js"
import { RelayState } from "../model/Relay.js"
import { type Pubkey, type SecretId, TenantState } from "../model/Tenant.js"
import type { Drift } from "./Drift.js"
import { type Found, shown, shownRow } from "./Shown.js"

/**
 * A step of a verification: how far it is, and what it has found since the step before.
 *
 * @since 0.1.0
 * @category models
 */
export interface Verification {
  /** How many events have been folded. */
  readonly events: number
  /** The last position of the journal as it is verified: in the end, as many events at most have been folded. */
  readonly head: Position
  /** How many tenants, relays and secrets have been compared. */
  readonly tenants: number
  readonly relays: number
  readonly secrets: number
  readonly differences: ReadonlyArray<Drift>
  /** Clocks that were wrong. The rows agree with the journal all the same. */
  readonly clocks: ReadonlyArray<ClockFinding>
}

/**
 * The events of one resource, folded as they are read, to be compared with its row.
 *
 * @since 0.1.0
 * @category models
 */
export class Fold {
  /** Whether the events are whole and consistent, so that the row must be what they come to. */
  isSound = true
  readonly resourceType: ResourceType
  readonly resourceId: string
  private readonly report: (difference: Drift) => void
  private tenant: Option.Option<TenantState> = Option.none()
  private relay: Option.Option<RelayState> = Option.none()
  private version = 0
  private position: Position = Position.make(0)
  /** By which event each field was last set. */
  private readonly touched: { [field: string]: Position } = {}

  constructor(resourceType: ResourceType, resourceId: string, report: (difference: Drift) => void) {
    this.resourceType = resourceType
    this.resourceId = resourceId
    this.report = report
  }

  /** The next event of the resource. */
  add(event: RecordedEvent): void {
    const { _tag, changes, position, version } = event
    if (resourceTypeOf(_tag) !== this.resourceType) {
      this.isSound = false
      return this.inconsistent(position, "resourceType", resourceTypeOf(_tag), this.resourceType)
    }
    if (version !== this.version + 1) {
      this.isSound = false
      this.inconsistent(position, "version", this.version + 1, version)
    } else if (!isImport(_tag) && (_tag === creations[this.resourceType]) !== (version === 1)) {
      this.isSound = false
      this.inconsistent(position, "type", version === 1 ? creations[this.resourceType] : "a change", _tag)
    }
    if (position < this.position) this.inconsistent(position, "position", `more than ${this.position}`, position)
    if (event.resourceType === "tenant") this.tenant = evolveTenant(this.tenant, event)
    else this.relay = evolveRelay(this.relay, event)
    const row = this.row
    const owner = row === undefined ? event.tenant : "pubkey" in row ? row.pubkey : row.tenant
    if (event.tenant !== owner) this.inconsistent(position, "tenant", owner, event.tenant)
    if (version === 1) { for (const field in row) this.touched[field] = position }
    else for (const field in changes) this.touched[field] = position
    this.touched["version"] = position
    this.version = version
    this.position = position
  }

  /** The next event cannot be read, for what stands in this field. */
  addUnreadable({ field, position, version }: {
    readonly position: Position
    readonly version: number
    readonly field: string
  }): void {
    this.isSound = false
    this.version = version
    this.tell("unreadable", field, null, null, position)
  }

  /** Something about an event contradicts the rest of it, or those before it. */
  inconsistent(position: Position, field: string, expected: unknown, found: unknown): void {
    this.tell("inconsistent", field, expected, found, position)
  }

  /** The row that the events come to. */
  get row(): TenantState | RelayState | undefined {
    return Option.getOrUndefined<TenantState | RelayState>(this.resourceType === "tenant" ? this.tenant : this.relay)
  }

  /** The secret that the row has to refer to, if any. */
  get secret(): SecretId | null {
    const row = this.row
    return row !== undefined && "nwcUrl" in row ? row.nwcUrl : null
  }

  /**
   * Compares the row with the one that is stored, if any, and returns whether they are the same. Where the secret is not kept,
   * that is reported, and a row without a reference is as right as one that still has it.
   */
  compare(found: Found | undefined, isSecretKept: (id: SecretId) => boolean): boolean {
    const row: Found | undefined = this.isSound ? { ...this.row } : undefined
    if (row === undefined) return true
    const { secret } = this
    const isLost = secret !== null && !isSecretKept(secret)
    const isSame = this.compareFields(row, found, isLost)
    if (isLost) this.tell("lost", "nwcUrl", secret, null, this.setAt("nwcUrl"))
    return isSame
  }

  private compareFields(row: Found, found: Found | undefined, isLost: boolean): boolean {
    if (found === undefined) {
      this.tell("missing", null, shownRow(row), null, this.position)
      return false
    }
    const different = fields[this.resourceType].filter((field) =>
      !Equal.equals(row[field], found[field]) && !(isLost && field === "nwcUrl" && found[field] === null)
    )
    for (const field of different) {
      this.tell("field", field, shown(field, row[field]), shown(field, found[field]), this.setAt(field))
    }
    return different.length === 0
  }

  /** The event that last set a field. */
  readonly setAt = (field: string): Position => this.touched[field] ?? this.position

  /** The journal has no tenant that the relay could belong to, so that there cannot be such a row. */
  ownerless(tenant: Pubkey): void {
    this.isSound = false
    this.inconsistent(this.setAt("tenant"), "tenant", "a tenant that was created", tenant)
  }

  private tell(
    kind: Drift["kind"],
    field: string | null,
    expected: unknown,
    found: unknown,
    position: Position
  ): void {
    const { resourceId, resourceType } = this
    this.report({ kind, resourceType, resourceId, field, expected, found, position })
  }
}

const creations = { tenant: commandTable.CreateTenant.event, relay: commandTable.CreateRelay.event }

const fields = { tenant: Record.keys(TenantState.fields), relay: Record.keys(RelayState.fields) }
