/**
 * Errors as problem details (RFC 9457). Each error has a stable `type`, a status and its own fields as members. A
 * program with Effect decodes a problem to the same error.
 */
import {
  type CommandRequest,
  commands,
  type CommandTag,
  type FailureOf,
  PositionAhead,
  PositionFromOtherEpoch
} from "@caravel/domain"
import { Consumer } from "@caravel/pubsub"
import * as HttpApiSchema from "@effect/platform/HttpApiSchema"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { Array as Arr, Option, Predicate, Record as Rec, Schema, String as Str, Struct } from "effect"
import * as RequestError from "./RequestError.js"

/**
 * Every error that the API answers.
 *
 * @since 0.1.0
 * @category models
 */
export type KnownError =
  | FailureOf<CommandRequest>
  | PositionAhead
  | PositionFromOtherEpoch
  | Consumer.ConsumerNotFound
  | InstanceType<typeof RequestError[keyof typeof RequestError]>

/** The status of each error. A new error of a command does not compile without one. */
const statuses: { readonly [Tag in KnownError["_tag"]]: number } = {
  InvalidRequest: 400,
  Unauthorized: 401,
  Forbidden: 403,
  OriginRefused: 403,
  ConsumerNotFound: 404,
  RelayNotFound: 404,
  NotParked: 404,
  RouteNotFound: 404,
  TenantNotFound: 404,
  MethodNotAllowed: 405,
  ConsumerNotRunning: 409,
  IdempotencyConflict: 409,
  PositionFromOtherEpoch: 409,
  RelayAlreadyExists: 409,
  SubdomainTaken: 409,
  TenantAlreadyExists: 409,
  VersionConflict: 412,
  BodyTooLarge: 413,
  UnsupportedMediaType: 415,
  PositionAhead: 422,
  TooManyRequests: 429,
  Unexpected: 500,
  ConsumersBehind: 503,
  ShuttingDown: 503,
  StorageError: 503,
  TimedOut: 503
}

/**
 * The media type of problem details.
 *
 * @since 0.1.0
 * @category encoding
 */
export const contentType = "application/problem+json"

/**
 * The class of an error, as `Schema.TaggedError` makes it.
 *
 * @since 0.1.0
 * @category models
 */
export interface ErrorClass<Self extends KnownError> extends Schema.Schema<Self, any> {
  readonly _tag: Self["_tag"]
  readonly fields: Schema.Struct.Fields
  new(fields: any, options?: Schema.MakeOptions): Self
}

const kebab = (tag: string) => Str.snakeToKebab(Str.camelToSnake(Str.uncapitalize(tag)))

/**
 * The `type` of an error's problem details, such as `urn:caravel:problem:relay-not-found`.
 *
 * @since 0.1.0
 * @category encoding
 */
export const typeOf = (tag: KnownError["_tag"]): string => `urn:caravel:problem:${kebab(tag)}`

/** A cause may contain anything, so it stays in the host's log. */
const hidden = new Error("the host's log has the cause")

/**
 * The problem details of an error, as a schema that decodes to the error itself. Only the cause of a `StorageError` is
 * not sent.
 *
 * @since 0.1.0
 * @category encoding
 */
export const schema = <Self extends KnownError>(error: ErrorClass<Self>): Schema.Schema<Self, any> => {
  const { _tag, cause, ...members } = error.fields
  const make = (values: object) => new error(cause === undefined ? values : { ...values, cause: hidden })
  const tag = error._tag
  const title = Str.capitalize(kebab(tag).replaceAll("-", " "))
  const document = Schema.Struct({
    type: Schema.Literal(typeOf(tag)),
    title: Schema.Literal(title),
    status: Schema.Literal(statuses[tag]),
    detail: Schema.String,
    ...members
  })
  const toDocument = (value: Self): object => {
    const values = Struct.pick(value, ...Rec.keys(members) as any)
    const { message } = cause === undefined ? value : make(values)
    return { type: typeOf(tag), title, status: statuses[tag], detail: message, ...values }
  }
  return Schema.transform(document as Schema.Schema<any>, Schema.typeSchema(error), {
    strict: false,
    decode: (values) => make(Struct.pick(values, ...Rec.keys(members))),
    encode: toDocument
  }).pipe(
    HttpApiSchema.withEncoding({ kind: "Json", contentType }),
    Schema.annotations(HttpApiSchema.annotations({ status: statuses[tag], identifier: tag, description: title }))
  )
}

/**
 * The classes of the errors that a command can fail with.
 *
 * @since 0.1.0
 * @category encoding
 */
export const errorsOf = (tag: CommandTag): ReadonlyArray<ErrorClass<FailureOf<CommandRequest>>> =>
  // The failure of a command is the union of these classes.
  (commands[tag].failure as unknown as { readonly members: ReadonlyArray<ErrorClass<FailureOf<CommandRequest>>> })
    .members

const classes: ReadonlyArray<ErrorClass<any>> = [
  ...Arr.dedupe(Rec.keys(commands).flatMap(errorsOf)),
  ...Rec.values(RequestError),
  Consumer.ConsumerNotFound,
  PositionAhead,
  PositionFromOtherEpoch
]

const decoders = new Map(
  classes.map((error): readonly [string, (document: unknown) => Option.Option<KnownError>] => [
    typeOf(error._tag),
    Schema.decodeUnknownOption(schema(error))
  ])
)

/**
 * The error of problem details, if they are of the API.
 *
 * @since 0.1.0
 * @category encoding
 */
export const decode = (document: unknown): Option.Option<KnownError> =>
  Predicate.hasProperty(document, "type") && typeof document.type === "string"
    ? decoders.get(document.type)?.(document) ?? Option.none()
    : Option.none()

const encoders = new Map(classes.map((error) => [error._tag, Schema.encodeSync(schema(error))]))

/** When the same request may succeed, and what the client should do with the connection. */
const headersOf = (error: KnownError) => ({
  ...(statuses[error._tag] === 503 && (error._tag !== "StorageError" || passes(error)) ? { "retry-after": "1" } : {}),
  ...(error._tag === "ShuttingDown" || error._tag === "BodyTooLarge" ? { connection: "close" } : {}),
  ...(error._tag === "Unauthorized" ? { "www-authenticate": "Bearer realm=\"caravel\", Nostr" } : {}),
  ...(error._tag === "TooManyRequests" ? { "retry-after": String(error.retryAfter) } : {}),
  ...(error._tag === "MethodNotAllowed" ? { allow: error.allowed.join(", ") } : {})
})

const passes = ({ passes, reason }: Extract<KnownError, { readonly _tag: "StorageError" }>) =>
  passes === true || reason === "busy" || reason === "unavailable"

/**
 * The problem details of an error.
 *
 * @since 0.1.0
 * @category encoding
 */
export const encode = (error: KnownError): object => encoders.get(error._tag)!(error)

/**
 * The response for an error.
 *
 * @since 0.1.0
 * @category encoding
 */
export const response = (error: KnownError): HttpServerResponse.HttpServerResponse =>
  HttpServerResponse.unsafeJson(encode(error), {
    status: statuses[error._tag],
    contentType,
    headers: headersOf(error)
  })

/**
 * Whether an error is one of the API's.
 *
 * @since 0.1.0
 * @category encoding
 */
export const isKnown = (error: unknown): error is KnownError => classes.some((known) => error instanceof known)
