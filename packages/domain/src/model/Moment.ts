/** When: by a place in the journal, or by the clock. */
import { DateTime, Schema } from "effect"
import { Position } from "./Activity.js"
import { expected } from "./Text.js"

const iso =
  /^(\d{4})-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])(T([01]\d|2[0-3]):[0-5]\d(:[0-5]\d(\.\d{1,3})?)?(Z|[+-][01]\d:[0-5]\d))?$/

/** What JavaScript would read as another day, such as February 30, is none. */
const isInstant = (text: string) => {
  if (!iso.test(text)) return false
  const [year = 0, month = 0, day = 0] = text.slice(0, 10).split("-").map(Number)
  return DateTime.getPartUtc(DateTime.unsafeMake({ year, month, day }), "day") === day
}

/**
 * An instant, to the millisecond: a `DateTime`, or ISO 8601 text that leaves no time zone open, such as
 * `2026-11-01T00:00Z` or `2026-11-01T01:00:00.000+01:00`. A date alone is its first instant in UTC.
 *
 * @since 0.1.0
 * @category models
 */
export const Instant = Schema.Union(
  Schema.DateTimeUtcFromSelf,
  Schema.compose(Schema.String.pipe(Schema.filter(isInstant)), Schema.DateTimeUtc)
).annotations({
  identifier: "Instant",
  ...expected("an instant such as 2026-11-01T00:00Z, with its time zone, or a date")
})

/**
 * @since 0.1.0
 * @category models
 */
export type Instant = typeof Instant.Type

/**
 * A moment in the journal's life: after the event at a position, or as of an instant.
 *
 * @since 0.1.0
 * @category models
 */
export const Moment = Schema.Union(Position, Instant).annotations({
  identifier: "Moment",
  ...expected("a position, or an instant such as 2026-11-01T00:00Z, with its time zone")
})

/**
 * @since 0.1.0
 * @category models
 */
export type Moment = typeof Moment.Type

/**
 * The journal has not come to this position yet. To recover, ask for one up to `head`.
 *
 * @since 0.1.0
 * @category errors
 */
export class PositionAhead extends Schema.TaggedError<PositionAhead>("@caravel/domain/PositionAhead")("PositionAhead", {
  position: Position,
  head: Position
}) {
  override get message() {
    return `There is no position ${this.position} yet; the last one is ${this.head}`
  }
}
