/** Points in time, given as a position in the journal or as an instant. */
import { DateTime, Schema } from "effect"
import { Position } from "./Activity.js"
import { expected } from "./Text.js"

const iso =
  /^(\d{4})-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])(T([01]\d|2[0-3]):[0-5]\d(:[0-5]\d(\.\d{1,3})?)?(Z|[+-][01]\d:[0-5]\d))?$/

/** Rejects dates that do not exist, such as February 30, which JavaScript would read as a later day. */
const isInstant = (text: string) => {
  if (!iso.test(text)) return false
  const [year = 0, month = 0, day = 0] = text.slice(0, 10).split("-").map(Number)
  return DateTime.getPartUtc(DateTime.unsafeMake({ year, month, day }), "day") === day
}

/** The years 0000 to 9999, in milliseconds since 1970. */
const [first, last] = [-62_167_219_200_000, 253_402_300_799_999]

const hasText = <A extends Schema.Schema<DateTime.Utc, any>>(schema: A) =>
  schema.pipe(Schema.filter(({ epochMillis }) => epochMillis >= first && epochMillis <= last))

/**
 * An instant, to the millisecond: a `DateTime`, a `Date`, or ISO 8601 text with a time zone, such as
 * `2026-11-01T00:00Z` or `2026-11-01T01:00:00.000+01:00`. A date without a time is the start of that day in UTC. The
 * year is one of 0000 to 9999, so that every instant can be written as such text.
 *
 * @since 0.1.0
 * @category models
 */
export const Instant = Schema.Union(
  Schema.DateTimeUtcFromSelf.pipe(hasText),
  Schema.DateTimeUtcFromDate.pipe(hasText),
  Schema.compose(Schema.String.pipe(Schema.filter(isInstant)), Schema.DateTimeUtc).pipe(hasText)
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
 * A point in the journal's history: after the event at a position, or as of an instant.
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
 * The journal has not reached this position. To recover, use a position up to `head`.
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
