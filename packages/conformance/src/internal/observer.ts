/** What an observer of a program sees: its logs, metrics and spans. */
import { Effect, Logger, LogLevel, Metric, MetricState, Tracer } from "effect"

/** A tracer that records its spans. */
export const makeTracer = () => {
  const spans: Array<Tracer.Span> = []
  const native = Effect.runSync(Effect.tracer)
  const tracer = Tracer.make({
    span: (...options) => {
      const span = native.span(...options)
      spans.push(span)
      return span
    },
    context: (run, fiber) => native.context(run, fiber)
  })
  return { spans, tracer }
}

/** Records the logs, at every level, and the spans of effects. */
export class Observer {
  private readonly traced = makeTracer()
  private readonly logged: Array<{ readonly level: string; readonly message: string }> = []
  private readonly logger = Logger.make(({ logLevel, message }) => {
    this.logged.push({ level: logLevel.label, message: [message].flat().join(" ") })
  })

  readonly observe = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    effect.pipe(
      Logger.withMinimumLogLevel(LogLevel.All),
      Effect.provide(Logger.replace(Logger.defaultLogger, this.logger)),
      Effect.withTracer(this.traced.tracer)
    )

  /** The messages that were logged at a level. */
  readonly logs = (level: string) => this.logged.filter((log) => log.level === level).map(({ message }) => message)

  /** The spans with a name that have ended. */
  readonly spans = (name: string) =>
    this.traced.spans.filter((span) => span.name === name && span.status._tag === "Ended")
}

/** The value of a metric of a consumer; 0 if it was never updated. */
export const consumerMetric = (consumer: string, name: string): number => {
  const found = Metric.unsafeSnapshot().find(({ metricKey }) =>
    metricKey.name === `caravel_consumer_${name}` && metricKey.tags.some(({ value }) => value === consumer)
  )
  if (found === undefined) return 0
  const state = found.metricState
  return MetricState.isCounterState(state)
    ? Number(state.count)
    : MetricState.isGaugeState(state)
    ? Number(state.value)
    : NaN
}
