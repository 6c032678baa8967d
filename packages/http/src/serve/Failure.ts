/** The answer to every request that failed, as a problem: what handlers fail with and what the framework refuses. */
import { StorageError } from "@caravel/domain"
import { issuesIn, readable, withoutSecrets } from "@caravel/domain/adapter"
import * as HttpApi from "@effect/platform/HttpApi"
import * as HttpApiError from "@effect/platform/HttpApiError"
import type * as HttpApp from "@effect/platform/HttpApp"
import * as HttpServerError from "@effect/platform/HttpServerError"
import type * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import type * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { Array as Arr, Cause, Effect, type ParseResult } from "effect"
import { Api } from "../api/Api.js"
import * as Problem from "../api/Problem.js"
import { InvalidRequest, MethodNotAllowed, RouteNotFound, Unexpected } from "../api/RequestError.js"
import { pathOf } from "./RequestPath.js"

const routes: Array<{ readonly method: string; readonly path: RegExp }> = []
HttpApi.reflect(Api, {
  onGroup: () => {},
  onEndpoint: ({ endpoint: { method, path } }) =>
    routes.push({ method, path: new RegExp(`^${path.replaceAll(/:\w+/g, "[^/]+")}$`) })
})

/** The router does not say why it found no route. */
const notFound = (request: HttpServerRequest.HttpServerRequest) => {
  const { method } = request
  const path = pathOf(request)
  const allowed = Arr.dedupe(routes.filter((route) => route.path.test(path)).map(({ method }) => method))
  if (allowed.length === 0) return new RouteNotFound()
  return allowed.includes(method)
    ? new InvalidRequest({ issues: [{ path: "", message: "The path is not percent-encoded UTF-8" }] })
    : new MethodNotAllowed({ allowed })
}

/** A malformed part of a request: what is wrong, and where. */
const invalid = (error: ParseResult.ParseError): InvalidRequest => new InvalidRequest({ issues: issuesIn(error) })

/**
 * Fails with `InvalidRequest` in place of the `ParseError` of a service.
 *
 * @since 0.1.0
 * @category errors
 */
export const valid = <A, E, R>(
  effect: Effect.Effect<A, E | ParseResult.ParseError, R>
): Effect.Effect<A, Exclude<E, ParseResult.ParseError> | InvalidRequest, R> =>
  // @effect-diagnostics-next-line unsafeEffectTypeAssertion:off
  Effect.catchTag(effect as Effect.Effect<A, ParseResult.ParseError, R>, "ParseError", invalid)

const problemOf = (error: unknown) => {
  if (error instanceof HttpServerError.RouteNotFound) return notFound(error.request)
  if (error instanceof HttpApiError.HttpApiDecodeError) return new InvalidRequest({ issues: readable(error.issues) })
  return error
}

/**
 * Logs a storage error, as the problem that its client receives does not contain the cause.
 *
 * @since 0.1.0
 * @category errors
 */
export const reported = (error: unknown): Effect.Effect<void> =>
  error instanceof StorageError ? Effect.logWarning(withoutSecrets(error.message)) : Effect.void

/**
 * Answers each failure of an app by a problem. What no error stands for is a bug: it is logged.
 *
 * @since 0.1.0
 * @category middleware
 */
export const answered = <E, R>(app: HttpApp.Default<E, R>): HttpApp.Default<never, R> =>
  // Nothing is behind this but the client: a defect must be an answer, too.
  // eslint-disable-next-line no-restricted-syntax
  Effect.catchAllCause(app, (cause): Effect.Effect<HttpServerResponse.HttpServerResponse> => {
    // The client is gone, or the server ends.
    if (Cause.isInterruptedOnly(cause)) return Effect.interrupt
    const error = problemOf(Cause.squash(cause))
    return Problem.isKnown(error)
      ? Effect.as(reported(error), Problem.response(error))
      : Effect.as(Effect.logError("A request failed unexpectedly", cause), Problem.response(new Unexpected()))
  })
