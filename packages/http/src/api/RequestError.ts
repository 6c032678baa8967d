/** The errors of requests, besides those of the domain. */
import { Position } from "@caravel/domain"
import { Record as Rec, Schema } from "effect"
import { Role } from "./Identity.js"

/**
 * A part of the request is malformed: a field of the body, a parameter, or a header. To recover, correct what `issues`
 * names. Nothing was executed.
 *
 * @since 0.1.0
 * @category errors
 */
export class InvalidRequest extends Schema.TaggedError<InvalidRequest>("@caravel/http/InvalidRequest")(
  "InvalidRequest",
  {
    issues: Schema.Array(Schema.Struct({
      /** The field, parameter or header, such as `subdomain` or `0.id`; empty for the whole body. */
      path: Schema.String,
      message: Schema.String
    }))
  }
) {
  override get message() {
    return this.issues.map(({ message, path }) => path === "" ? message : `${path}: ${message}`).join("; ")
  }
}

/**
 * The request may not be executed from where it comes. A host without credentials serves only its own machine, and no
 * web page of another origin.
 *
 * @since 0.1.0
 * @category errors
 */
export class OriginRefused extends Schema.TaggedError<OriginRefused>("@caravel/http/OriginRefused")("OriginRefused", {
  /** The header that names another host. */
  header: Schema.Literal("host", "origin")
}) {
  override get message() {
    return `This host has no credentials, so it serves only its own machine; ${this.header} names another host`
  }
}

const reasons = {
  missing: "The request has no credential: send Authorization: Bearer with a token, or sign it (NIP-98)",
  malformed: "The credential is malformed",
  unknown: "The token is unknown, was revoked, or has expired",
  disabled: "The host does not accept signed requests of this key",
  expired: "The request was not signed within the last minute",
  otherUrl: "The request is signed for another URL; sign the one that clients of the host use, with its query",
  otherMethod: "The request is signed for another method",
  otherBody: "The request is signed for another body; its payload tag must be the SHA-256 hash of the body, in hex",
  badSignature: "The signature is wrong",
  replayed: "The signature was used before; each request that writes needs a signature of its own"
} as const

/**
 * The request has no valid credential, so nothing was executed. To recover, see `reason`: after `expired` and
 * `replayed`, sign the request again.
 *
 * @since 0.1.0
 * @category errors
 */
export class Unauthorized extends Schema.TaggedError<Unauthorized>("@caravel/http/Unauthorized")("Unauthorized", {
  reason: Schema.Literal(...Rec.keys(reasons))
}) {
  override get message() {
    return reasons[this.reason]
  }
}

/**
 * The credential is valid, but not for this. Nothing was executed. To recover, use a credential with another role, or
 * with the grant.
 *
 * @since 0.1.0
 * @category errors
 */
export class Forbidden extends Schema.TaggedError<Forbidden>("@caravel/http/Forbidden")("Forbidden", {
  role: Role,
  /** What the credential may not do: a route's or a command's name, a field, or a grant that it does not have. */
  what: Schema.String
}) {
  override get message() {
    return `A credential with the role ${this.role} may not use ${this.what}`
  }
}

/**
 * The credential has sent more requests than it may. To recover, send the request again after `retryAfter`.
 *
 * @since 0.1.0
 * @category errors
 */
export class TooManyRequests extends Schema.TaggedError<TooManyRequests>("@caravel/http/TooManyRequests")(
  "TooManyRequests",
  {
    /** In seconds. */
    retryAfter: Schema.Int
  }
) {
  override get message() {
    return `The credential has sent too many requests; send it again in ${this.retryAfter} s`
  }
}

/**
 * There is no such route.
 *
 * @since 0.1.0
 * @category errors
 */
export class RouteNotFound extends Schema.TaggedError<RouteNotFound>("@caravel/http/RouteNotFound")(
  "RouteNotFound",
  {}
) {
  override get message() {
    return "There is no such route; GET /openapi.json describes all of them"
  }
}

/**
 * The route has other methods.
 *
 * @since 0.1.0
 * @category errors
 */
export class MethodNotAllowed extends Schema.TaggedError<MethodNotAllowed>("@caravel/http/MethodNotAllowed")(
  "MethodNotAllowed",
  { allowed: Schema.Array(Schema.String) }
) {
  override get message() {
    return `The route has only ${this.allowed.join(" and ")}`
  }
}

/**
 * The body is longer than the host accepts. To recover, split a list of commands into several.
 *
 * @since 0.1.0
 * @category errors
 */
export class BodyTooLarge extends Schema.TaggedError<BodyTooLarge>("@caravel/http/BodyTooLarge")("BodyTooLarge", {
  /** The maximum length, in bytes. */
  limit: Schema.Int
}) {
  override get message() {
    return `The body is longer than ${this.limit} bytes`
  }
}

/**
 * The body is not JSON by its `Content-Type`.
 *
 * @since 0.1.0
 * @category errors
 */
export class UnsupportedMediaType extends Schema.TaggedError<UnsupportedMediaType>(
  "@caravel/http/UnsupportedMediaType"
)("UnsupportedMediaType", {}) {
  override get message() {
    return "The body must be JSON, with Content-Type: application/json"
  }
}

/**
 * No program runs the consumer, and only that program has its handler. To recover, start it.
 *
 * @since 0.1.0
 * @category errors
 */
export class ConsumerNotRunning extends Schema.TaggedError<ConsumerNotRunning>("@caravel/http/ConsumerNotRunning")(
  "ConsumerNotRunning",
  { consumer: Schema.String }
) {
  override get message() {
    return `No program runs consumer ${JSON.stringify(this.consumer)}, and only that program has its handler; start it`
  }
}

/**
 * The consumer has nothing parked at this position.
 *
 * @since 0.1.0
 * @category errors
 */
export class NotParked extends Schema.TaggedError<NotParked>("@caravel/http/NotParked")("NotParked", {
  consumer: Schema.String,
  position: Position
}) {
  override get message() {
    return `Consumer ${JSON.stringify(this.consumer)} has nothing parked at position ${this.position}`
  }
}

/**
 * The host is shutting down and has not executed the request. To recover, send it again; another process may answer.
 *
 * @since 0.1.0
 * @category errors
 */
export class ShuttingDown extends Schema.TaggedError<ShuttingDown>("@caravel/http/ShuttingDown")("ShuttingDown", {}) {
  override get message() {
    return "The host is shutting down; send the request again"
  }
}

/**
 * The host has not finished the request in time, and has given up on it. Whether a command took effect is unknown. To
 * recover, send it again with the same idempotency key.
 *
 * @since 0.1.0
 * @category errors
 */
export class TimedOut extends Schema.TaggedError<TimedOut>("@caravel/http/TimedOut")("TimedOut", {}) {
  override get message() {
    return "The request took too long, and may have taken effect; send it again with the same Idempotency-Key"
  }
}

/**
 * Consumers are too far behind. The host executes requests all the same. To recover, see what keeps those consumers.
 *
 * @since 0.1.0
 * @category errors
 */
export class ConsumersBehind extends Schema.TaggedError<ConsumersBehind>("@caravel/http/ConsumersBehind")(
  "ConsumersBehind",
  { consumers: Schema.Array(Schema.Struct({ name: Schema.String, activities: Schema.Int })) }
) {
  override get message() {
    const each = this.consumers.map(({ activities, name }) => `${name} by ${activities} activities`)
    return `Consumers are too far behind: ${each.join(", ")}`
  }
}

/**
 * A bug. The host's log has the cause.
 *
 * @since 0.1.0
 * @category errors
 */
export class Unexpected extends Schema.TaggedError<Unexpected>("@caravel/http/Unexpected")("Unexpected", {}) {
  override get message() {
    return "The host failed unexpectedly; its log has the cause"
  }
}
