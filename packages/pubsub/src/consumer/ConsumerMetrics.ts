/** Metrics of consumers in this process, as Effect metrics: `Metric.snapshot` or the application's exporter reads them. */
import { Metric, MetricKey } from "effect"

/** The metrics of a consumer. Each is tagged with its name. */
export const metricsOf = (consumer: string) => {
  // `Metric.update` takes longer than a handler that does nothing.
  const tagged = <Key extends MetricKey.MetricKey<any>>(key: Key) =>
    Metric.globalMetricRegistry.get(MetricKey.tagged(key, "consumer", consumer))
  const counter = (name: string, description: string) =>
    tagged(MetricKey.counter(`caravel_consumer_${name}_total`, { description, incremental: true }))
  const gauge = (name: string, description: string) =>
    tagged(MetricKey.gauge(`caravel_consumer_${name}`, { description }))
  return {
    handled: counter("handled", "activities that were handled"),
    failed: counter("failed", "calls of the handler that failed"),
    retried: counter("retried", "failed attempts that were followed by another one"),
    parked: counter("parked", "activities that were parked"),
    attempts: gauge("attempts", "failed attempts at activities that are being retried or have halted the consumer"),
    leaseHeld: gauge("lease_held", "1 while this process holds the consumer's lease, otherwise 0"),
    halted: gauge("halted", "1 if the consumer has halted in this process, otherwise 0"),
    lagActivities: gauge("lag_activities", "activities that the consumer has yet to handle"),
    lagSeconds: gauge("lag_seconds", "age of the oldest activity that the consumer has yet to handle")
  }
}

/** See `metricsOf`. */
export type ConsumerMetrics = ReturnType<typeof metricsOf>
