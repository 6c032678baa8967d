/** The span of each request, which has its trace, its route and its actor. */
import { isTraced } from "@caravel/domain/adapter"
import type * as HttpApp from "@effect/platform/HttpApp"
import * as HttpMiddleware from "@effect/platform/HttpMiddleware"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpTraceContext from "@effect/platform/HttpTraceContext"
import { Effect, Function, Layer, Option } from "effect"

const bare = <E, R>(app: HttpApp.Default<E, R>) =>
  Effect.flatMap(
    HttpServerRequest.HttpServerRequest,
    ({ headers, method }) =>
      Effect.withSpan(app, `http.server ${method}`, {
        parent: Option.getOrUndefined(HttpTraceContext.fromHeaders(headers)),
        kind: "server",
        captureStackTrace: false
      })
  )

/**
 * Chooses the spans of a server's requests: the platform's, or ones without its twenty attributes if no tracer records
 * them: they take 5 to 10 % of a request.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = <A, E, R>(
  serve: (inSpan: <E, R>(app: HttpApp.Default<E, R>) => HttpApp.Default<E, R>) => Layer.Layer<A, E, R>
): Layer.Layer<A, E, R> =>
  Layer.unwrapEffect(
    Effect.withFiberRuntime<Layer.Layer<A, E, R>>((fiber) =>
      Effect.succeed(
        isTraced(fiber)
          ? serve(Function.identity)
          : HttpMiddleware.withTracerDisabledWhen(serve(bare), Function.constTrue)
      )
    )
  )
