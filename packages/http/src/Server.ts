/** The host of the API: its handlers, the middleware in front of them, and shutting down. */
import type { ActivityFeed, Command, History, Journal, Query } from "@caravel/domain"
import type { Consumer } from "@caravel/pubsub"
import * as FileSystem from "@effect/platform/FileSystem"
import type * as HttpApi from "@effect/platform/HttpApi"
import * as HttpApiBuilder from "@effect/platform/HttpApiBuilder"
import * as HttpApiSwagger from "@effect/platform/HttpApiSwagger"
import * as HttpIncomingMessage from "@effect/platform/HttpIncomingMessage"
import type * as HttpMiddleware from "@effect/platform/HttpMiddleware"
import * as HttpRouter from "@effect/platform/HttpRouter"
import type * as HttpServer from "@effect/platform/HttpServer"
import { type Duration, Effect, Layer, Option } from "effect"
import { Api } from "./api/Api.js"
import type { Authentication } from "./api/Authentication.js"
import * as Auth from "./auth/Auth.js"
import * as Loopback from "./auth/Loopback.js"
import type { SingleUse } from "./auth/SingleUse.js"
import * as ConsumersHandlers from "./serve/ConsumersHandlers.js"
import * as Drain from "./serve/Drain.js"
import { answered } from "./serve/Failure.js"
import { layerCommands, layerHost, layerMonitoring, layerQueries, layerUpkeep } from "./serve/Handlers.js"
import { allowing, hardened, limited } from "./serve/Hardening.js"
import * as HistoryHandlers from "./serve/HistoryHandlers.js"
import * as JournalHandlers from "./serve/JournalHandlers.js"
import * as Own from "./serve/Own.js"
import { logged } from "./serve/RequestLog.js"
import * as RequestSpan from "./serve/RequestSpan.js"

export {
  /**
   * @since 0.1.0
   * @category running
   */
  endAbandoned
} from "./serve/Abandoned.js"

/**
 * The options of a server.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** The maximum length of a body, in bytes. 10 MiB by default. */
  readonly maxBody?: number | undefined
  /** How long a request may take until its response begins; a stream then has no limit. One minute by default. */
  readonly requestTimeout?: Duration.DurationInput | undefined
  /** How long running requests may take when the server shuts down. Ten seconds by default. */
  readonly drainTimeout?: Duration.DurationInput | undefined
  /**
   * Completes when no answer is being sent. A server that shuts down waits for it, too, for the time that requests have.
   * By default it does not wait: what is not sent yet may be lost.
   */
  readonly answersSent?: Effect.Effect<void> | undefined
  /**
   * Completes when no connection is open. A server that shuts down waits for it, for at most a second, so that a request
   * that arrives on a connection that was kept alive is refused, and not lost. By default it does not wait.
   */
  readonly connectionsClosed?: Effect.Effect<void> | undefined
  /** How many activities a consumer may be behind while `/readyz` answers 200. No limit by default. */
  readonly maxLag?: number | undefined
}

/**
 * The options of a server with credentials.
 *
 * @since 0.1.0
 * @category models
 */
export interface CredentialsOptions extends Options, Auth.Options {
  /** The origins whose web pages may use the API (CORS), such as `https://admin.example`. None by default. */
  readonly origins?: ReadonlyArray<string> | undefined
}

/** The services that the API is served from. */
type Services = ActivityFeed | Command | Consumer.Consumer | History | Journal | Query

/** No handler has the `Query` or the feed of everything. */
const handlers = (maxLag: number): Layer.Layer<
  | Layer.Layer.Success<typeof layerCommands>
  | Layer.Layer.Success<typeof layerQueries>
  | Layer.Layer.Success<typeof HistoryHandlers.layer>
  | Layer.Layer.Success<typeof JournalHandlers.layer>
  | Layer.Layer.Success<typeof ConsumersHandlers.layer>
  | Layer.Layer.Success<typeof layerUpkeep>
  | Layer.Layer.Success<typeof layerMonitoring>
  | Layer.Layer.Success<ReturnType<typeof layerHost>>,
  never,
  | Exclude<Services, ActivityFeed | Query>
  | Authentication
  | Drain.Drain
  | Own.OwnActivityFeed
  | Own.OwnQuery
> =>
  Layer.mergeAll(
    layerCommands,
    layerQueries,
    HistoryHandlers.layer,
    JournalHandlers.layer,
    ConsumersHandlers.layer,
    layerUpkeep,
    layerMonitoring,
    layerHost(maxLag)
  )

const api = (maxLag: number): Layer.Layer<HttpApi.Api, never, Services | Authentication> =>
  Layer.provide(HttpApiBuilder.api(Api), Layer.provide(handlers(maxLag), [Own.layer, Drain.layer])).pipe(
    // A consumer's name has up to 256 characters; the router finds no route for a longer parameter than this.
    Layer.merge(HttpRouter.setRouterConfig({ maxParamLength: Infinity }))
  )

/**
 * The API with its handlers, to be mounted in an application with other routes. `Auth` has layers of `Authentication`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerApi: Layer.Layer<HttpApi.Api, never, Services | Authentication> = api(Infinity)

type Host = HttpServer.HttpServer | HttpRouter.HttpRouter.DefaultServices

const serve = <E, R>(
  {
    answersSent = Effect.void,
    connectionsClosed = Effect.void,
    drainTimeout = "10 seconds",
    maxBody = 10 * 1024 * 1024,
    maxLag = Infinity,
    requestTimeout = "1 minute"
  }: Options,
  guard: HttpMiddleware.HttpMiddleware,
  authentication: Layer.Layer<Authentication, E, R>
): Layer.Layer<never, E, Host | Services | R> => {
  const served = Effect.map(
    Drain.Drain,
    ({ accepted, counted }) =>
      RequestSpan.layer((inSpan) =>
        HttpApiBuilder.serve().pipe(
          Layer.provide(HttpApiBuilder.middleware((app) =>
            // @effect-diagnostics-next-line anyUnknownInErrorContext:off
            counted(inSpan(logged(hardened(answered(guard(accepted(limited(requestTimeout)(app))))))))
          )),
          Layer.provide(Layer.succeed(HttpIncomingMessage.MaxBodySize, Option.some(FileSystem.Size(maxBody))))
        )
      )
  )
  return Layer.scopedDiscard(
    Effect.flatMap(
      Drain.Drain,
      ({ drain }) => Effect.addFinalizer(() => drain({ answersSent, connectionsClosed, timeout: drainTimeout }))
    )
  ).pipe(
    Layer.provide(Layer.unwrapEffect(served)),
    Layer.provide([HttpApiSwagger.layer(), Drain.layer]),
    Layer.provide(api(maxLag)),
    Layer.provide(authentication)
  )
}

/**
 * Serves the API, `/openapi.json` and `/docs` with the `HttpServer` of a platform, without credentials: only its own
 * machine, where everyone is an administrator, and no web page of another origin. When the layer is released, running
 * requests are answered and new ones are refused.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options = {}): Layer.Layer<never, never, Host | Services> =>
  serve(options, Loopback.only, Auth.layerLocal)

/**
 * The same for everyone with a credential. What the API is and whether the host is alive needs none.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerWithCredentials = (
  options: CredentialsOptions
): Layer.Layer<never, never, Host | Services | SingleUse> =>
  serve(options, allowing(options.origins ?? []), Auth.layer(options))
