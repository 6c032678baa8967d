import type { Activity, Position } from "@caravel/domain"
import type { ConsumerMetrics } from "./ConsumerMetrics.js"

/** Counts what becomes of a run and its activities, for the metrics and for `handleOnce`. */
export class Outcomes {
  handled = 0
  parked = 0
  private published = 0
  readonly metrics: ConsumerMetrics
  /** The number of failed attempts at each activity that is not done. */
  private readonly failing = new Map<Position, number>()

  constructor(metrics: ConsumerMetrics) {
    this.metrics = metrics
  }

  /** Called for every activity, so it must be cheap: `publish` updates the metric for many at once. */
  onHandled({ position }: Activity): void {
    this.handled++
    if (this.failing.size > 0) this.settle(position)
  }

  /** Updates the metric of handled activities. */
  publish(): void {
    this.metrics.handled.update(this.handled - this.published)
    this.published = this.handled
  }

  onFailed({ position }: Activity, attempts: number): void {
    this.publish()
    this.metrics.failed.update(1)
    this.failing.set(position, attempts)
    this.show()
  }

  /** A call with several activities failed, so that each of them is tried alone. */
  onBatchFailed(): void {
    this.metrics.failed.update(1)
  }

  onRetry(): void {
    this.metrics.retried.update(1)
  }

  /** An activity is not tried again: it is to be parked. */
  onGivenUp({ position }: Activity): void {
    this.settle(position)
  }

  onParked(): void {
    this.parked++
    this.metrics.parked.update(1)
  }

  onAcquired(): void {
    this.metrics.leaseHeld.update(1)
    this.metrics.halted.update(0)
    this.show()
  }

  onReleased(halted: boolean): void {
    this.publish()
    this.metrics.leaseHeld.update(0)
    if (halted) return this.metrics.halted.update(1)
    // Another process may continue with the failed and the remaining activities.
    this.metrics.lagActivities.update(0)
    this.metrics.lagSeconds.update(0)
    this.failing.clear()
    this.show()
  }

  private settle(position: Position): void {
    if (this.failing.delete(position)) this.show()
  }

  private show(): void {
    let attempts = 0
    for (const count of this.failing.values()) attempts += count
    this.metrics.attempts.update(attempts)
  }
}
