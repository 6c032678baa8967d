/** Metrics of the write path, as Effect metrics: `Metric.snapshot` or the application's exporter reads them. */
import { Metric, MetricBoundaries } from "effect"

/** The number of submissions in the writer's queue. */
export const queueDepth: Metric.Metric.Gauge<number> = Metric.gauge("caravel_queue_depth", {
  description: "submissions in the writer's queue"
})

/** The number of commands in a batch. */
export const batchCommands: Metric.Metric.Histogram<number> = Metric.histogram(
  "caravel_batch_commands",
  MetricBoundaries.exponential({ start: 1, factor: 2, count: 10 }),
  "commands that were committed together"
)

/** The time from BEGIN to the end of COMMIT of a batch, in seconds. */
export const commitSeconds: Metric.Metric.Histogram<number> = Metric.histogram(
  "caravel_commit_seconds",
  MetricBoundaries.exponential({ start: 0.000_1, factor: 2, count: 16 }),
  "seconds from a batch's BEGIN to the end of its COMMIT"
)
