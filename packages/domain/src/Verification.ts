/** Whether the rows say what the journal says: how it is found out, and how a disagreement is reported. */
import { DateTime, Equal, Option, Record, Schema } from "effect"
import { Position, type ResourceType } from "./Activity.js"
import { commandTable } from "./CommandTable.js"
import { evolveRelay, evolveTenant } from "./Decider.js"
import type { RecordedEvent } from "./Event.js"
import { isImport, resourceTypeOf } from "./EventTable.js"
import { RelayState } from "./Relay.js"
import { SecretId, TenantState } from "./Tenant.js"

/**
 * A disagreement, of one of these kinds:
 *
 * - `field`: a field of a row is not what the journal says.
 * - `missing`: the journal has the resource, and there is no row of it; or the event of a position is gone.
 * - `unexpected`: there is a row, or a secret, of which the journal knows nothing.
 * - `lost`: the secret that a tenant refers to is not kept. The journal does not have it: it has to be set again.
 * - `unreadable`: the event at this position cannot be read.
 * - `inconsistent`: the event at this position does not follow from those before it.
 *
 * A rebuild mends rows, and secrets that are too many (`isMendable`).
 *
 * @since 0.1.0
 * @category models
 */
export const Drift = Schema.Struct({
  kind: Schema.Literal("field", "missing", "unexpected", "lost", "unreadable", "inconsistent"),
  resourceType: Schema.Literal("tenant", "relay", "secret", "event"),
  /** Of a row that is damaged, whatever stands there. Of events, their positions, as `7` or `7-9`. */
  resourceId: Schema.String,
  /** Null where the row as a whole is meant. */
  field: Schema.NullOr(Schema.String),
  /** What the journal says, as JSON has it; null if it says that there is nothing. Never a secret. */
  expected: Schema.Unknown,
  /** What is there, as JSON has it; null if there is nothing, or nothing that can be read. Never a secret. */
  found: Schema.Unknown,
  /** That of the last event that touched what this is about; 0 if none did. */
  position: Position
})

/**
 * @since 0.1.0
 * @category models
 */
export interface Drift extends Schema.Schema.Type<typeof Drift> {}

/**
 * Whether a rebuild mends it: the journal knows what should be there.
 *
 * @since 0.1.0
 * @category accessors
 */
export const isMendable = ({ kind, resourceType }: Drift): boolean =>
  kind === "field" || kind === "unexpected" || kind === "missing" && resourceType !== "event"

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
}

/** A row that may be damaged: its fields, decoded as far as they can be. */
type Found = { readonly [field: string]: unknown }

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

  /** Compares the row with the one that there is, if there is one. Gives whether they are the same. */
  compare(found: Found | undefined): boolean {
    const row: Found | undefined = this.isSound ? { ...this.row } : undefined
    if (row === undefined) return true
    if (found === undefined) {
      this.tell("missing", null, shownRow(row), null, this.position)
      return false
    }
    const different = fields[this.resourceType].filter((field) => !Equal.equals(row[field], found[field]))
    for (const field of different) {
      const position = this.touched[field] ?? this.position
      this.tell("field", field, shown(field, row[field]), shown(field, found[field]), position)
    }
    return different.length === 0
  }

  /** The secret that the row refers to is not kept. */
  lost(): void {
    this.tell("lost", "nwcUrl", this.secret, null, this.touched["nwcUrl"] ?? this.position)
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

/**
 * A row of which the journal knows nothing.
 *
 * @since 0.1.0
 * @category constructors
 */
export const unexpectedRow = (resourceType: ResourceType, resourceId: string, row: Found): Drift => ({
  kind: "unexpected",
  resourceType,
  resourceId,
  field: null,
  expected: null,
  found: shownRow(row),
  position: Position.make(0)
})

/**
 * A secret that no tenant refers to, with the position of the event that set it, or 0 if none did.
 *
 * @since 0.1.0
 * @category constructors
 */
export const unexpectedSecret = (id: string, position: Position): Drift => ({
  kind: "unexpected",
  resourceType: "secret",
  resourceId: isSecretId(id) ? id : redacted,
  field: null,
  expected: null,
  found: redacted,
  position
})

/**
 * Positions that the journal has given, and whose events are gone.
 *
 * @since 0.1.0
 * @category constructors
 */
export const missingEvents = (first: Position, last: Position): Drift => ({
  kind: "missing",
  resourceType: "event",
  resourceId: first === last ? `${first}` : `${first}-${last}`,
  field: null,
  expected: null,
  found: null,
  position: last
})

const creations = { tenant: commandTable.CreateTenant.event, relay: commandTable.CreateRelay.event }

const fields = { tenant: Record.keys(TenantState.fields), relay: Record.keys(RelayState.fields) }

const isSecretId = Schema.is(SecretId)

const redacted = "<redacted>"

/** A value as JSON has it. What stands where a reference to a secret should may be the secret itself. */
const shown = (field: string, value: unknown): unknown =>
  field === "nwcUrl" && value !== null && !isSecretId(value)
    ? redacted
    : DateTime.isDateTime(value)
    ? DateTime.formatIso(value)
    : value ?? null

const shownRow = (row: Found): Found => Record.map(row, (value, field) => shown(field, value))
