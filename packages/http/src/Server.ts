/** The host of the API: its handlers, the middleware in front of them, and shutting down. */
import type { ActivityFeed, Command, History, Journal, Query } from "@caravel/domain"
import type { Consumer } from "@caravel/pubsub"
import type * as HttpApi from "@effect/platform/HttpApi"
import * as HttpApiBuilder from "@effect/platform/HttpApiBuilder"
import * as HttpApiSwagger from "@effect/platform/HttpApiSwagger"
import * as HttpIncomingMessage from "@effect/platform/HttpIncomingMessage"
import type * as HttpRouter from "@effect/platform/HttpRouter"
import type * as HttpServer from "@effect/platform/HttpServer"
import { type Duration, Effect, Layer, Option } from "effect"
import { Api } from "./Api.js"
import * as ConsumersHandlers from "./ConsumersHandlers.js"
import * as Drain from "./Drain.js"
import { answered } from "./Failure.js"
import { layerCommands, layerHost, layerQueries, layerUpkeep } from "./Handlers.js"
import * as HistoryHandlers from "./HistoryHandlers.js"
import * as Loopback from "./Loopback.js"

/**
 * The options of a server.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** Serves only its own machine, and no web page of another origin: for a host without credentials. */
  readonly loopbackOnly?: boolean | undefined
  /** The maximum length of a body, in bytes. 10 MiB by default. */
  readonly maxBody?: number | undefined
  /** How long running requests may take when the server shuts down. Ten seconds by default. */
  readonly drainTimeout?: Duration.DurationInput | undefined
}

/** The services that the API is served from. */
type Services = ActivityFeed | Command | Consumer.Consumer | History | Journal | Query

/**
 * The API with its handlers, to be mounted in an application with other routes.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerApi: Layer.Layer<HttpApi.Api, never, Services> = HttpApiBuilder.api(Api).pipe(
  Layer.provide([layerCommands, layerQueries, HistoryHandlers.layer, ConsumersHandlers.layer, layerUpkeep, layerHost]),
  Layer.provide(Drain.layer)
)

/**
 * Serves the API, `/openapi.json` and `/docs` with the `HttpServer` of a platform. When the layer is released, running
 * requests are answered and new ones are refused.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  options: Options = {}
): Layer.Layer<never, never, HttpServer.HttpServer | HttpRouter.HttpRouter.DefaultServices | Services> => {
  const { drainTimeout = "10 seconds", loopbackOnly = false, maxBody = 10 * 1024 * 1024 } = options
  const served = Effect.map(Drain.Drain, ({ closing, counted }) =>
    HttpApiBuilder.serve(counted).pipe(
      Layer.provide(HttpApiBuilder.middleware((app) =>
        closing(answered(loopbackOnly ? Loopback.only(app) : app)).pipe(
          HttpIncomingMessage.withMaxBodySize(Option.some(maxBody))
        )
      ))
    ))
  return Layer.scopedDiscard(
    Effect.flatMap(Drain.Drain, ({ drain }) => Effect.addFinalizer(() => drain(drainTimeout)))
  ).pipe(
    Layer.provide(Layer.unwrapEffect(served)),
    Layer.provide([HttpApiSwagger.layer(), Drain.layer]),
    Layer.provide(layerApi)
  )
}
