/** What protects every answer: headers for browsers, other origins only by configuration, and a time limit. */
import type * as HttpApp from "@effect/platform/HttpApp"
import * as HttpMiddleware from "@effect/platform/HttpMiddleware"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { type Duration, Effect } from "effect"
import { TimedOut } from "../api/RequestError.js"

const headers = {
  // The answers are about tenants, and change with each command.
  "cache-control": "no-store",
  "cross-origin-resource-policy": "same-origin",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff"
}

/** Nothing of an answer is executed or framed, except that the documentation is a page with its own script. */
const policyOf = (url: string) =>
  url === "/docs"
    ? "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; connect-src 'self'; frame-ancestors 'none'"
    : "default-src 'none'; frame-ancestors 'none'"

/**
 * Sets headers that limit what a browser does with an answer. Headers that a handler has set stay.
 *
 * @since 0.1.0
 * @category middleware
 */
export const hardened = <E, R>(
  app: HttpApp.Default<E, R>
): HttpApp.Default<E, R | HttpServerRequest.HttpServerRequest> =>
  Effect.zipWith(
    HttpServerRequest.HttpServerRequest,
    app,
    ({ url }, response) =>
      HttpServerResponse.setHeaders(response, {
        ...headers,
        "content-security-policy": policyOf(url),
        ...response.headers
      })
  )

/**
 * Lets web pages of these origins use the API (CORS), with a credential of their own.
 *
 * @since 0.1.0
 * @category middleware
 */
export const allowing = (origins: ReadonlyArray<string>) =>
  HttpMiddleware.cors({
    allowedOrigins: origins,
    allowedMethods: ["GET", "POST", "DELETE"],
    exposedHeaders: ["etag", "retry-after", "www-authenticate"],
    maxAge: 600
  })

/**
 * Answers a request with `TimedOut` if its handler takes longer. The handler is interrupted, which no one waits for. What
 * a stream sends after its headers has no limit.
 *
 * @since 0.1.0
 * @category middleware
 */
export const limited = (timeout: Duration.DurationInput) => <E, R>(app: HttpApp.Default<E, R>) =>
  // The platform makes only the handler interruptible, not what stands before it.
  Effect.disconnect(Effect.interruptible(app)).pipe(
    Effect.timeoutFail({ duration: timeout, onTimeout: () => new TimedOut() }),
    Effect.interruptible
  )
