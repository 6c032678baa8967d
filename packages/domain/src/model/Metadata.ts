/** Where a command came from: stored with its event, looked at by no decision. */
import { type Effect, type ParseResult, Predicate, Schema, type Tracer } from "effect"
import { expectedUnseen, Text } from "./Text.js"

/**
 * A short text that a caller chooses: 1 to 256 characters.
 *
 * @since 0.1.0
 * @category models
 */
export const Label = Text.pipe(Schema.minLength(1), Schema.maxLength(256)).annotations({
  identifier: "Label",
  ...expectedUnseen("well-formed text of 1 to 256 characters, none of them NUL")
})

const optional = <A, I>(schema: Schema.Schema<A, I>) => Schema.optionalWith(schema, { exact: true })

/**
 * What is stored with an event. `traceId` and `spanId` are those of the command's span, where it has one that is kept:
 * called and written as OpenTelemetry has them in its logs, so that events are found by a trace, and a trace by an event,
 * without taking a `traceparent` apart.
 *
 * @since 0.1.0
 * @category models
 */
export const Metadata = Schema.Struct({
  /** Who wanted it: a user, an administrator, a worker. */
  actor: optional(Label),
  /** What it belongs to: the same for all that one request comes to. */
  correlationId: optional(Label),
  /** What it follows from: the id of an activity, or of a message. */
  causationId: optional(Label),
  traceId: optional(Schema.String),
  spanId: optional(Schema.String)
})

/**
 * @since 0.1.0
 * @category models
 */
export interface Metadata extends Schema.Schema.Type<typeof Metadata> {}

/**
 * What a caller may say of its commands.
 *
 * @since 0.1.0
 * @category models
 */
export interface CallerMetadata {
  readonly actor?: string | undefined
  readonly correlationId?: string | undefined
  readonly causationId?: string | undefined
}

const decode = Schema.decodeUnknown(Metadata.pick("actor", "correlationId", "causationId"), {
  onExcessProperty: "error"
})

/**
 * Reads what a caller says. A name that is none of the three is refused, as it would be lost.
 *
 * @since 0.1.0
 * @category constructors
 */
export const decodeMetadata = (metadata: CallerMetadata): Effect.Effect<Metadata, ParseResult.ParseError> =>
  decode(Predicate.isRecord(metadata) ? Object.fromEntries(Object.entries(metadata).filter(isThere)) : metadata)

const isThere = ([, value]: readonly [string, unknown]) => value !== undefined

/**
 * Metadata with the ids of a span. One that nobody keeps leads nowhere.
 *
 * @since 0.1.0
 * @category constructors
 */
export const withSpanIds = (metadata: Metadata, span: Tracer.AnySpan | undefined): Metadata =>
  span?.sampled === true && isLabel(span.traceId) && isLabel(span.spanId)
    ? { ...metadata, traceId: span.traceId, spanId: span.spanId }
    : metadata

/** An application's own tracer may call its spans anything. */
const isLabel = Schema.is(Label)
