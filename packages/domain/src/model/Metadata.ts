/** The origin of a command. It is stored with the event, and no decision reads it. */
import { type Effect, type ParseResult, Predicate, Schema, type Tracer } from "effect"
import { decodeInput } from "./Decoding.js"
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
 * The metadata that is stored with an event. `traceId` and `spanId` are those of the command's span, if that span is
 * sampled. They have the names and the format of OpenTelemetry's log fields, so that you can find events by a trace,
 * and a trace by an event, without parsing a `traceparent`.
 *
 * @since 0.1.0
 * @category models
 */
export const Metadata = Schema.Struct({
  /** The user, administrator or worker that sent the command. */
  actor: optional(Label),
  /** Groups the commands of one request: all of them have the same id. */
  correlationId: optional(Label),
  /** The id of the activity or message that caused the command. */
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
 * The metadata that a caller can set.
 *
 * @since 0.1.0
 * @category models
 */
export interface CallerMetadata {
  readonly actor?: string | undefined
  readonly correlationId?: string | undefined
  readonly causationId?: string | undefined
}

const decode = decodeInput(Metadata.pick("actor", "correlationId", "causationId"), {
  onExcessProperty: "error"
})

/**
 * Validates a caller's metadata. Fails on any other field name, which would otherwise be lost silently.
 *
 * @since 0.1.0
 * @category constructors
 */
export const decodeMetadata = (metadata: CallerMetadata): Effect.Effect<Metadata, ParseResult.ParseError> =>
  decode(Predicate.isRecord(metadata) ? Object.fromEntries(Object.entries(metadata).filter(isThere)) : metadata)

const isThere = ([, value]: readonly [string, unknown]) => value !== undefined

/**
 * Adds the ids of a span to the metadata, if the span is sampled. The ids of any other span could not be looked up.
 *
 * @since 0.1.0
 * @category constructors
 */
export const withSpanIds = (metadata: Metadata, span: Tracer.AnySpan | undefined): Metadata =>
  span?.sampled === true && isLabel(span.traceId) && isLabel(span.spanId)
    ? { ...metadata, traceId: span.traceId, spanId: span.spanId }
    : metadata

/** A custom tracer may use ids of any form. */
const isLabel = Schema.is(Label)
