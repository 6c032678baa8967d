/** Metrics of the write path, as Effect metrics: `Metric.snapshot` or the application's exporter reads them. */
import { type Effect, Metric, MetricBoundaries } from "effect"

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

/**
 * What woke the tail: a notification, the start of listening, or the poll.
 */
export type WakeUp = "notification" | "listen" | "poll"

const wakeUps = Metric.counter("caravel_tail_wakeups_total", {
  description: "times that the tail was woken by other processes' commits, by what woke it",
  incremental: true
})

/** Counts what woke the tail, if there was something to read. */
export const wokenBy = (source: WakeUp): Effect.Effect<void> =>
  Metric.increment(Metric.tagged(wakeUps, "source", source))
