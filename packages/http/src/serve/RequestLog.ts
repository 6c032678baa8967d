/** One line of the log and one measurement for each request. */
import type * as HttpApp from "@effect/platform/HttpApp"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import { Clock, Effect, Exit, LogLevel, Metric, MetricBoundaries, MetricLabel, Option, Record as Rec } from "effect"

/** By method, by the path of the route, such as `/v1/relays/:id`, and by status. */
const seconds = Metric.histogram(
  "caravel_http_request_seconds",
  MetricBoundaries.exponential({ start: 0.001, factor: 2, count: 14 }),
  "seconds from a request to the headers of its response"
)

/** What monitors ask for all the time. */
const probes = new Set(["/healthz", "/readyz", "/metrics"])

const levelOf = (status: number, path: string) =>
  status >= 500 ? LogLevel.Warning : probes.has(path) ? LogLevel.Debug : LogLevel.Info

/**
 * Logs each request with its status, duration, actor and trace, and measures it. The query is left out: it may contain
 * anything. A request whose client is gone has status 499.
 *
 * @since 0.1.0
 * @category middleware
 */
export const logged = <E, R>(app: HttpApp.Default<E, R>): HttpApp.Default<E, R> =>
  Effect.gen(function*() {
    const { method, url } = yield* HttpServerRequest.HttpServerRequest
    const start = yield* Clock.currentTimeNanos
    return yield* Effect.onExit(app, (exit) =>
      Effect.gen(function*() {
        const duration = Number((yield* Clock.currentTimeNanos) - start) / 1e9
        const status = Exit.isSuccess(exit) ? exit.value.status : 499
        // The router and `Auth` describe the request in its span.
        const span = Option.getOrUndefined(yield* Effect.option(Effect.currentSpan))
        const labels = { method, route: String(span?.attributes.get("http.route") ?? "none"), status: String(status) }
        yield* Metric.taggedWithLabels(
          seconds,
          Object.entries(labels).map(([key, value]) => MetricLabel.make(key, value))
        )
          .pipe(Metric.update(duration))
        const path = url.replace(/\?.*$/, "")
        const described = {
          milliseconds: Math.round(duration * 1e4) / 10,
          actor: span?.attributes.get("enduser.id"),
          traceId: span?.traceId
        }
        yield* Effect.logWithLevel(levelOf(status, path), `${method} ${path} ${status}`).pipe(
          Effect.annotateLogs(Rec.filter(described, (value) => value !== undefined))
        )
      }))
  })
