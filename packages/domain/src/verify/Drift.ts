/** Where rows and journal disagree, and how that is reported. */
import { Schema } from "effect"
import { Position, ResourceType } from "../model/Activity.js"
import { type Found, isSecretId, redacted, shownRow } from "./Shown.js"

/**
 * A disagreement, of one of these kinds:
 *
 * - `field`: a field of a row is not what the journal says.
 * - `missing`: the journal has the resource, and there is no row of it; or the event of a position is gone.
 * - `unexpected`: there is a row, or a secret, of which the journal knows nothing.
 * - `lost`: the secret that a tenant refers to is not kept. The journal does not have it: it has to be set again.
 * - `unreadable`: the event at this position cannot be read.
 * - `inconsistent`: the event at this position does not follow from those before it; or, beside the journal, what a row says
 *   cannot be.
 * - `damaged`: the database's own check of its file has found this.
 *
 * A rebuild mends rows, and secrets that are too many (`isRepairable`).
 *
 * @since 0.1.0
 * @category models
 */
export const Drift = Schema.Struct({
  kind: Schema.Literal("field", "missing", "unexpected", "lost", "unreadable", "inconsistent", "damaged"),
  /** What is beside the journal, from `idempotency` on, is not folded from it, and no rebuild looks at it. */
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
export const isRepairable = ({ kind, resourceType }: Drift): boolean =>
  kind === "field" || kind === "unexpected" || kind === "missing" && resourceType !== "event"

/**
 * Whether it is the journal that is damaged, or the file that it is in: a restore mends that, and a rebuild of the rows does not.
 *
 * @since 0.1.0
 * @category accessors
 */
export const isOfJournal = (drift: Drift): boolean =>
  !isRepairable(drift) && drift.kind !== "lost" &&
  (drift.resourceType === "database" || drift.resourceType === "event" || isResourceType(drift.resourceType))

/**
 * A row beside the journal that cannot be read, for what stands in a field, or that says what cannot be. Its position is that of
 * the event that it is about, or 0.
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
 * What the database's own check has found.
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
 * Something about the event at a position that contradicts those before it.
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

/**
 * An event that belongs to no resource, as its type says none, and whose content therefore cannot be read.
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
 * Events at positions that the journal has never given: before 1, or after its last one.
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
 * A subdomain that the journal gives to a relay, in the event at this position, and to another relay too.
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
