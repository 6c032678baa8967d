/** Tracing that costs nothing if no tracer is configured. */
import { Context, DefaultServices, Effect, type Exit, type Fiber, Tracer } from "effect"

/** Effect's default tracer, which discards spans. */
const builtIn = Context.get(DefaultServices.liveServices, Tracer.Tracer)

/**
 * Whether the fiber has a tracer that records spans.
 *
 * @since 0.1.0
 * @category tracing
 */
export const isTraced = ({ currentTracer }: Fiber.RuntimeFiber<unknown, unknown>): boolean =>
  currentTracer !== undefined && currentTracer !== builtIn

/**
 * Like `Effect.withSpan`, but adds no span if the fiber has no tracer: a span that is discarded takes 12 µs, a fifth of
 * the time of a command in a batch. `attributesOf` adds attributes that are known at the end.
 *
 * @since 0.1.0
 * @category tracing
 */
export const withSpan = <A0 = unknown, E0 = unknown>(
  name: string,
  options?: Tracer.SpanOptions,
  attributesOf?: (exit: Exit.Exit<A0, E0>) => { readonly [name: string]: unknown }
) =>
<A extends A0, E extends E0, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.withFiberRuntime((fiber) => {
    if (!isTraced(fiber)) return effect
    const described = attributesOf === undefined
      ? effect
      : Effect.onExit(effect, (exit) => Effect.annotateCurrentSpan(attributesOf(exit)))
    // The span's parent is the fiber's current span, so `R` does not require one.
    return Effect.withSpan(described, name, { captureStackTrace: false, ...options })
  })
