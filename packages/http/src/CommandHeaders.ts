/** What a command is sent with, as headers: its idempotency key, the version that it expects, and metadata. */
import { Command } from "@caravel/domain"
import { expected, IdempotencyKey, Label } from "@caravel/domain/adapter"
import { type Effect, type ParseResult, Schema } from "effect"

/**
 * Text in a header. Headers hold ASCII, so other characters are percent-encoded. Programs such as curl send UTF-8 as it
 * is, which arrives as one character per byte.
 */
const HeaderText = Schema.transform(Schema.String, Schema.String, {
  strict: true,
  decode: (header) => {
    const bytes = header.replace(/%(?![0-9a-f]{2})/gi, "%25").replace(
      /[\x80-\xff]/g,
      (byte) => `%${byte.charCodeAt(0).toString(16)}`
    )
    try {
      return decodeURIComponent(bytes)
    } catch {
      return header
    }
  },
  encode: encodeURIComponent
})

const optional = <A>(schema: Schema.Schema<A, string>, description: string) =>
  Schema.optionalWith(schema.annotations({ description }), { exact: true })

const text = <A>(schema: Schema.Schema<A, string>, description: string) =>
  optional(Schema.compose(HeaderText, schema), description)

const entityTag = /^(?:W\/)?"?(\d{1,15})(?:-[\w.]+)?"?$/

/** A version as an entity tag. Proxies weaken tags and append suffixes: `W/"3-gzip"` is version 3 too. */
const EntityTag = Schema.String.pipe(
  Schema.pattern(entityTag),
  Schema.annotations(expected("a version as an entity tag, such as \"3\""))
)

/**
 * The version of an `If-Match`, or of an `ETag`.
 *
 * @since 0.1.0
 * @category headers
 */
export const VersionTag = Schema.transform(EntityTag, Schema.NonNegativeInt, {
  strict: true,
  decode: (tag) => Number(entityTag.exec(tag)?.[1]),
  encode: (version) => `"${version}"`
})

/**
 * The headers of a command.
 *
 * @since 0.1.0
 * @category headers
 */
export const CommandHeaders = Schema.Struct({
  "idempotency-key": text(
    IdempotencyKey,
    "Makes the command safe to repeat: sent again with the same key, it is answered as the first time. " +
      "Use a new random key, such as a UUID, for each command. Other characters than ASCII are percent-encoded."
  ),
  "if-match": optional(
    VersionTag,
    "The command is refused unless its tenant or relay is at this version, such as \"3\"; \"0\" means that it does not " +
      "exist yet."
  ),
  "caravel-actor": text(Label, "Who sends the command; stored with its event. Percent-encoded like the key."),
  "caravel-correlation-id": text(Label, "The request or workflow that it belongs to; stored with its event."),
  "caravel-causation-id": text(Label, "The activity or message that caused it; stored with its event.")
})

/**
 * Sends the commands of an effect as the headers say.
 *
 * @since 0.1.0
 * @category execution
 */
export const sentWith =
  (headers: typeof CommandHeaders.Type) =>
  <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E | ParseResult.ParseError, R> => {
    const key = headers["idempotency-key"]
    const version = headers["if-match"]
    let sent: Effect.Effect<A, E | ParseResult.ParseError, R> = Command.withMetadata({
      actor: headers["caravel-actor"],
      correlationId: headers["caravel-correlation-id"],
      causationId: headers["caravel-causation-id"]
    })(effect)
    if (key !== undefined) sent = Command.withIdempotencyKey(key)(sent)
    if (version !== undefined) sent = Command.expecting(version)(sent)
    return sent
  }
