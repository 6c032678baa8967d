/** One line of the log and one measurement for each request. */
import { withoutSecrets } from "@caravel/domain/adapter"
import type * as HttpApp from "@effect/platform/HttpApp"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import {
  Effect,
  Exit,
  FiberRef,
  HashMap,
  LogLevel,
  Metric,
  MetricBoundaries,
  type MetricHook,
  MetricKey,
  MetricLabel
} from "effect"
import { pathOf } from "./RequestPath.js"

const seconds = MetricKey.histogram(
  "caravel_http_request_seconds",
  MetricBoundaries.exponential({ start: 0.001, factor: 2, count: 14 }),
  "seconds from a request to the headers of its response"
)

const measures = new Map<string, MetricHook.MetricHook.Histogram>()

/** By method, by the path of the route, such as `/v1/relays/:id`, and by status: few enough to keep each. */
const measureOf = (method: string, route: string, status: string) => {
  const name = `${method} ${route} ${status}`
  const known = measures.get(name)
  if (known !== undefined) return known
  const labels = Object.entries({ method, route, status }).map(([key, value]) => MetricLabel.make(key, value))
  const measure = Metric.globalMetricRegistry.get(MetricKey.taggedWithLabels(seconds, labels))
  measures.set(name, measure)
  return measure
}

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
  Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) => {
    const start = performance.now()
    return Effect.onExit(app, (exit) =>
      Effect.withFiberRuntime((fiber) => {
        const { method } = request
        const milliseconds = performance.now() - start
        const status = Exit.isSuccess(exit) ? exit.value.status : 499
        // The router and `Auth` describe the request in its span.
        const span = fiber.currentSpan?._tag === "Span" ? fiber.currentSpan : undefined
        const route = String(span?.attributes.get("http.route") ?? "none")
        measureOf(method, route, String(status)).update(milliseconds / 1000)
        const path = withoutSecrets(pathOf(request))
        const described = {
          milliseconds: Math.round(milliseconds * 10) / 10,
          actor: span?.attributes.get("enduser.id"),
          traceId: span?.traceId
        }
        const before = fiber.getFiberRef(FiberRef.currentLogAnnotations)
        const annotated = Object.entries(described).reduce(
          (all, [name, value]) => value === undefined ? all : HashMap.set(all, name, value),
          before
        )
        // `Effect.annotateLogs` takes a tenth of an empty request.
        return FiberRef.set(FiberRef.currentLogAnnotations, annotated).pipe(
          Effect.zipRight(Effect.logWithLevel(levelOf(status, path), `${method} ${path} ${status}`)),
          Effect.zipRight(FiberRef.set(FiberRef.currentLogAnnotations, before))
        )
      }))
  })
