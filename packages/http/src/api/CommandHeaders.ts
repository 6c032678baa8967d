/** What a command is sent with, as headers: its idempotency key, the version that it expects, and metadata. */
import { Command, IdempotencyConflict } from "@caravel/domain"
import { expected, IdempotencyKey, Label } from "@caravel/domain/adapter"
import { Effect, type ParseResult, Schema } from "effect"
import { hashOf } from "./Credentials.js"
import { Identity } from "./Identity.js"

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
  "caravel-actor": text(
    Label,
    "Who sends the command; stored with its event. Percent-encoded like the key. Only administrators can name someone: " +
      "for others it is the name of their credential."
  ),
  "caravel-correlation-id": text(Label, "The request or workflow that it belongs to; stored with its event."),
  "caravel-causation-id": text(Label, "The activity or message that caused it; stored with its event.")
})

/**
 * A key in the scope of a credential: nobody can store an outcome under the key that another credential is going to use.
 * A host without credentials uses keys as a program does.
 */
const scoped = (key: IdempotencyKey, { actor }: typeof Identity.Service) =>
  actor === undefined ? Effect.succeed<string>(key) : hashOf(JSON.stringify([actor, key]))

/**
 * Sends the commands of an effect as the headers and the identity say.
 *
 * @since 0.1.0
 * @category execution
 */
export const sentWith =
  (headers: typeof CommandHeaders.Type) =>
  <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E | ParseResult.ParseError, R | Identity> =>
    Effect.gen(function*() {
      const identity = yield* Identity
      const key = headers["idempotency-key"]
      const version = headers["if-match"]
      let sent: Effect.Effect<A, E | ParseResult.ParseError, R> = Command.withMetadata({
        actor: identity.role === "admin" ? headers["caravel-actor"] ?? identity.actor : identity.actor,
        correlationId: headers["caravel-correlation-id"],
        causationId: headers["caravel-causation-id"]
      })(effect)
      if (key !== undefined) {
        sent = Effect.mapError(
          Command.withIdempotencyKey(yield* scoped(key, identity))(sent),
          (error) =>
            // @effect-diagnostics-next-line unsafeEffectTypeAssertion:off
            error instanceof IdempotencyConflict ? new IdempotencyConflict({ key }) as E & IdempotencyConflict : error
        )
      }
      if (version !== undefined) sent = Command.expecting(version)(sent)
      return yield* sent
    })
