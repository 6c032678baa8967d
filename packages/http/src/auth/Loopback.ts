/** A host without credentials serves only its own machine, and no page of a browser that comes from elsewhere. */
import type * as HttpApp from "@effect/platform/HttpApp"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import { Effect } from "effect"
import { OriginRefused } from "../api/RequestError.js"

const loopback = /^(localhost|127\.0\.0\.1|\[::1\])(:\d+)?$/i

/**
 * Refuses requests whose `Host` is not loopback: the name of an attacker's site may resolve to this machine. Refuses
 * requests that a page of another origin sends.
 *
 * @since 0.1.0
 * @category middleware
 */
export const only = <E, R>(app: HttpApp.Default<E, R>): HttpApp.Default<E | OriginRefused, R> =>
  Effect.flatMap(HttpServerRequest.HttpServerRequest, ({ headers }): HttpApp.Default<E | OriginRefused, R> => {
    const { host = "", origin } = headers
    if (!loopback.test(host)) return new OriginRefused({ header: "host" })
    return origin === undefined || origin === `http://${host}` ? app : new OriginRefused({ header: "origin" })
  })
