/** Shutting down without losing a request: running ones are answered, new ones are refused, and streams end. */
import type * as HttpApp from "@effect/platform/HttpApp"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { Context, Deferred, type Duration, Effect, Layer } from "effect"
import * as Problem from "../api/Problem.js"
import { ShuttingDown } from "../api/RequestError.js"

/**
 * Whether a server is shutting down.
 *
 * @since 0.1.0
 * @category services
 */
export class Drain extends Context.Tag("@caravel/http/Drain")<Drain, {
  /** Completes when the server begins to shut down. Streams end then. */
  readonly begun: Effect.Effect<void>
  /**
   * Refuses a request while the server shuts down; otherwise the server waits for its handler, and the platform for the
   * answer to be sent. An answer then closes its connection: the client's next request goes elsewhere.
   */
  readonly counted: <E, R>(app: HttpApp.Default<E, R>) => HttpApp.Default<E, R>
  /**
   * Shuts down: waits until all running requests are answered, but no longer than the timeout. Then still refuses new
   * ones until the connections are closed, for at most a second.
   */
  readonly drain: (timeout: Duration.DurationInput, connectionsClosed: Effect.Effect<void>) => Effect.Effect<void>
}>() {}

/** Finalizers are uninterruptible, and without this they would wait for ever. */
const atMost = (duration: Duration.DurationInput, effect: Effect.Effect<void>) =>
  Effect.timeoutOption(Effect.interruptible(effect), duration)

/**
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<Drain> = Layer.effect(
  Drain,
  Effect.gen(function*() {
    const begun = yield* Deferred.make<void>()
    const idle = yield* Deferred.make<void>()
    let isDraining = false
    let running = 0

    const look = Effect.suspend(() => isDraining && running === 0 ? Deferred.succeed(idle, undefined) : Effect.void)
    const end = Effect.suspend(() => {
      running--
      return look
    })
    return {
      begun: Deferred.await(begun),
      counted: (app) =>
        Effect.map(
          Effect.suspend(() => {
            if (isDraining) return Effect.succeed(Problem.response(new ShuttingDown()))
            running++
            return Effect.ensuring(app, end)
          }),
          (response) => isDraining ? HttpServerResponse.setHeader(response, "connection", "close") : response
        ),
      drain: (timeout, connectionsClosed) =>
        Effect.sync(() => isDraining = true).pipe(
          Effect.zipRight(Deferred.succeed(begun, undefined)),
          Effect.zipRight(look),
          Effect.zipRight(atMost(timeout, Deferred.await(idle))),
          Effect.zipRight(atMost("1 second", connectionsClosed)),
          Effect.asVoid
        )
    }
  })
)
