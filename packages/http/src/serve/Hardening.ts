/** What protects every answer: headers for browsers, other origins only by configuration, and a time limit. */
import type * as HttpApp from "@effect/platform/HttpApp"
import * as HttpMiddleware from "@effect/platform/HttpMiddleware"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { Cause, Duration, Effect, FiberId, HashSet, identity } from "effect"
import { TimedOut } from "../api/RequestError.js"
import { pathOf } from "./RequestPath.js"

const headers = {
  // The answers are about tenants, and change with each command.
  "cache-control": "no-store",
  "cross-origin-resource-policy": "same-origin",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff"
}

/** Nothing of an answer is executed or framed, except that the documentation is a page with its own script. */
const policyOf = (path: string) =>
  // The router ignores a slash at the end, and case.
  /^\/docs\/?$/i.test(path)
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
  Effect.flatMap(
    HttpServerRequest.HttpServerRequest,
    (request) =>
      Effect.map(app, (response) =>
        HttpServerResponse.setHeaders(response, {
          ...headers,
          "content-security-policy": policyOf(pathOf(request)),
          ...response.headers
        }))
  )

/**
 * Lets web pages of these origins use the API (CORS), with a credential of their own. The platform takes an empty list
 * for every origin.
 *
 * @since 0.1.0
 * @category middleware
 */
export const allowing = (origins: ReadonlyArray<string>): <E, R>(app: HttpApp.Default<E, R>) => HttpApp.Default<E, R> =>
  origins.length === 0 ? identity : HttpMiddleware.cors({
    allowedOrigins: origins,
    allowedMethods: ["GET", "POST", "DELETE"],
    exposedHeaders: ["etag", "retry-after", "www-authenticate"],
    maxAge: 600
  })

/** A timer of JavaScript that is set for longer, in milliseconds, ends at once. */
const longest = 2 ** 31 - 1

/** In whose name a request is interrupted that took too long. */
const tooLong = FiberId.runtime(-503, 0)

/**
 * Interrupts a request whose handler takes longer, and fails with `TimedOut`. What a stream sends after its headers has
 * no limit. A request whose client is gone meanwhile is interrupted, too, as its answer could not be sent.
 *
 * @since 0.1.0
 * @category middleware
 */
export const limited = (timeout: Duration.DurationInput) => {
  const millis = Math.min(Duration.toMillis(timeout), longest)
  return <E, R>(app: HttpApp.Default<E, R>): HttpApp.Default<E | TimedOut, R> =>
    Effect.withFiberRuntime((fiber) => {
      // `Effect.timeout` runs two more fibers, which takes 160 µs of 600.
      // @effect-diagnostics-next-line globalTimers:off
      const timer = setTimeout(() => fiber.unsafeInterruptAsFork(tooLong), millis)
      return app.pipe(
        Effect.zipLeft(Effect.allowInterrupt),
        // The platform makes only the handler interruptible, so this is not interrupted itself.
        // eslint-disable-next-line no-restricted-syntax
        Effect.catchAllCause((cause): Effect.Effect<never, E | TimedOut> =>
          HashSet.has(Cause.interruptors(cause), tooLong) ? new TimedOut() : Effect.failCause(cause)
        ),
        Effect.ensuring(Effect.sync(() => clearTimeout(timer)))
      )
    })
}
