/** Shutting down without losing a request: running ones are answered, new ones are refused, and streams end. */
import type * as HttpApp from "@effect/platform/HttpApp"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { Context, Deferred, type Duration, Effect, Layer } from "effect"
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
   * Counts a request until it is answered. While the server shuts down, an answer closes its connection: the client's
   * next request goes elsewhere.
   */
  readonly counted: <E, R>(app: HttpApp.Default<E, R>) => HttpApp.Default<E, R>
  /** Refuses a request while the server shuts down. */
  readonly accepted: <E, R>(app: HttpApp.Default<E, R>) => HttpApp.Default<E | ShuttingDown, R>
  /** Shuts down. */
  readonly drain: (options: DrainOptions) => Effect.Effect<void>
}>() {}

interface DrainOptions {
  /** How long the server waits until all running requests are answered and all answers are sent. */
  readonly timeout: Duration.DurationInput
  readonly answersSent: Effect.Effect<void>
  /** Until then, but for at most a second, the server still refuses new requests. */
  readonly connectionsClosed: Effect.Effect<void>
}

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
            running++
            return Effect.ensuring(app, end)
          }),
          (response) => isDraining ? HttpServerResponse.setHeader(response, "connection", "close") : response
        ),
      accepted: <E, R>(app: HttpApp.Default<E, R>) =>
        Effect.suspend((): HttpApp.Default<E | ShuttingDown, R> => isDraining ? new ShuttingDown() : app),
      drain: ({ answersSent, connectionsClosed, timeout }) =>
        Effect.sync(() => isDraining = true).pipe(
          Effect.zipRight(Deferred.succeed(begun, undefined)),
          Effect.zipRight(look),
          Effect.zipRight(atMost(timeout, Effect.zipRight(Deferred.await(idle), answersSent))),
          Effect.zipRight(atMost("1 second", connectionsClosed)),
          Effect.asVoid
        )
    }
  })
)
