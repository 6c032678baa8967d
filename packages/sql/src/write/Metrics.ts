/** What the write path tells about itself, as Effect metrics (`Metric.snapshot`, or an exporter of the application's). */
import { type Effect, Metric, MetricBoundaries } from "effect"

/** How many commands wait to be taken by the writer. */
export const queueDepth: Metric.Metric.Gauge<number> = Metric.gauge("caravel_queue_depth", {
  description: "commands that wait to be taken by the writer"
})

/** How many commands were committed together. */
export const batchCommands: Metric.Metric.Histogram<number> = Metric.histogram(
  "caravel_batch_commands",
  MetricBoundaries.exponential({ start: 1, factor: 2, count: 10 }),
  "commands that were committed together"
)

/** How long a batch took from BEGIN to COMMIT, in seconds. */
export const commitSeconds: Metric.Metric.Histogram<number> = Metric.histogram(
  "caravel_commit_seconds",
  MetricBoundaries.exponential({ start: 0.000_1, factor: 2, count: 16 }),
  "seconds from a batch's BEGIN to the end of its COMMIT"
)

/**
 * What told the tail that others have committed: a notification, having begun to listen again, or a look without either.
 */
export type WakeUp = "notification" | "listen" | "poll"

const wakeUps = Metric.counter("caravel_tail_wakeups_total", {
  description: "times that the tail was told of others' commits, by what told it",
  incremental: true
})

/** Counts by what the tail was woken, if there was something for it. */
export const wokenBy = (source: WakeUp): Effect.Effect<void> =>
  Metric.increment(Metric.tagged(wakeUps, "source", source))
