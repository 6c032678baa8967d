/** Disagreements between the rows and the journal, and how they are reported. */
import { Schema } from "effect"
import { Position, ResourceType } from "../model/Activity.js"
import { type Found, isSecretId, redacted, shownRow } from "./Shown.js"

/**
 * A disagreement of one of these kinds:
 *
 * - `field`: a field of a row differs from the journal.
 * - `missing`: the journal has the resource but there is no row for it, or the event at a position is missing.
 * - `unexpected`: there is a row or a secret that the journal does not have.
 * - `lost`: the secret that a tenant refers to is not stored. The journal does not hold it, so it must be set again.
 * - `unreadable`: the event at this position cannot be read.
 * - `inconsistent`: the event at this position contradicts earlier events, or a row outside the journal contradicts
 *   itself or the journal.
 * - `damaged`: the database's own integrity check reported an error.
 *
 * A rebuild repairs rows, and deletes unexpected secrets (`isRepairable`).
 *
 * @since 0.1.0
 * @category models
 */
export const Drift = Schema.Struct({
  kind: Schema.Literal("field", "missing", "unexpected", "lost", "unreadable", "inconsistent", "damaged"),
  /**
   * The types from `idempotency` on are tables outside the journal. They are not folded from it, and a rebuild ignores
   * them.
   */
  resourceType: Schema.Literal(
    "tenant",
    "relay",
    "secret",
    "event",
    "database",
    "idempotency",
    "consumer",
    "epoch",
    "import"
  ),
  /** The id of the resource; for a damaged row, the stored value. For events, their positions, such as `7` or `7-9`. */
  resourceId: Schema.String,
  /** Null if the drift is about the whole row. */
  field: Schema.NullOr(Schema.String),
  /** The value according to the journal, as JSON; null if it has none. Never a secret. */
  expected: Schema.Unknown,
  /** The stored value, as JSON; null if there is none, or if it cannot be read. Never a secret. */
  found: Schema.Unknown,
  /** The position of the last event that affected the value; 0 if there is none. */
  position: Position
})

/**
 * @since 0.1.0
 * @category models
 */
export interface Drift extends Schema.Schema.Type<typeof Drift> {}

/**
 * Whether a rebuild repairs the drift: the journal has the correct value.
 *
 * @since 0.1.0
 * @category accessors
 */
export const isRepairable = ({ kind, resourceType }: Drift): boolean =>
  kind === "field" || kind === "unexpected" || kind === "missing" && resourceType !== "event"

/**
 * Whether the journal or the database's file is damaged. A restore repairs that; a rebuild of the rows does not.
 *
 * @since 0.1.0
 * @category accessors
 */
export const isOfJournal = (drift: Drift): boolean =>
  !isRepairable(drift) && drift.kind !== "lost" &&
  (drift.resourceType === "database" || drift.resourceType === "event" || isResourceType(drift.resourceType))

/**
 * A row outside the journal that cannot be read because of the value of a field, or whose values are impossible.
 * `position` is that of the related event, or 0.
 *
 * @since 0.1.0
 * @category constructors
 */
export const damagedRow = (
  kind: "unreadable" | "inconsistent",
  resourceType: "idempotency" | "consumer" | "epoch" | "import",
  resourceId: string,
  field: string,
  { expected = null, found = null, position = Position.make(0) }: {
    readonly expected?: unknown
    readonly found?: unknown
    readonly position?: Position
  } = {}
): Drift => ({ kind, resourceType, resourceId, field, expected, found, position })

/**
 * An error that the database's own integrity check reported.
 *
 * @since 0.1.0
 * @category constructors
 */
export const damagedDatabase = (found: string): Drift => ({
  kind: "damaged",
  resourceType: "database",
  resourceId: "",
  field: null,
  expected: null,
  found,
  position: Position.make(0)
})

/**
 * A row that the journal does not have.
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
 * A field of the event at a position that contradicts earlier events.
 *
 * @since 0.1.0
 * @category constructors
 */
export const inconsistentEvent = (position: Position, field: string, expected: unknown, found: unknown): Drift => ({
  kind: "inconsistent",
  resourceType: "event",
  resourceId: `${position}`,
  field,
  expected,
  found,
  position
})

/**
 * A secret that no tenant refers to, with the position of the event that set it, or 0 if there is none.
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
 * Positions that the journal assigned but whose events are missing.
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

/**
 * An event whose resource type is unknown. It belongs to no resource, so its content cannot be read.
 *
 * @since 0.1.0
 * @category constructors
 */
export const unattributedEvent = (position: Position): Drift => ({
  kind: "unreadable",
  resourceType: "event",
  resourceId: `${position}`,
  field: "resourceType",
  expected: null,
  found: null,
  position
})

/**
 * Events at positions that the journal never assigned: before 1, or after the head.
 *
 * @since 0.1.0
 * @category constructors
 */
export const misplacedEvents = (first: Position, last: Position, head: Position): Drift => ({
  kind: "inconsistent",
  resourceType: "event",
  resourceId: first === last ? `${first}` : `${first}-${last}`,
  field: "position",
  expected: `a position from 1 to ${head}`,
  found: first,
  position: last
})

/**
 * A subdomain that the journal assigns to two relays: to this one, in the event at `position`, and to another one.
 *
 * @since 0.1.0
 * @category constructors
 */
export const contestedSubdomain = (resourceId: string, subdomain: string, position: Position): Drift => ({
  kind: "inconsistent",
  resourceType: "relay",
  resourceId,
  field: "subdomain",
  expected: "a subdomain that no other relay has",
  found: subdomain,
  position
})

const isResourceType = Schema.is(ResourceType)
