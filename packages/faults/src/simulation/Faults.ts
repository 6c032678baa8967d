/** The faults of a simulation, as data: what goes wrong, and how often the place was passed before. */
import type { SimulatedHost } from "./SimulatedHost.js"

/** Where a fault can be injected: the statements of the storage, and the notification that a file was written. */
export type Point = "begin" | "commit" | "write" | "read" | "savepoint" | "rollback" | "watch"

/**
 * What goes wrong.
 *
 * - `busy`, `full`, `io`: the statement fails, and has no effect.
 * - `aborted`: the statement fails, and the storage has rolled the transaction back by itself.
 * - `reported`: the statement takes effect, and fails nevertheless.
 * - `slow`: the statement takes `millis` longer.
 * - `lost`, `doubled`: a notification is not delivered, or delivered twice.
 */
export type Effect = "busy" | "full" | "io" | "aborted" | "reported" | "slow" | "lost" | "doubled"

export interface Fault {
  readonly point: Point
  /** The fault strikes when the point is passed for this time, counted from 1, and then `times` times in a row. */
  readonly nth: number
  readonly times: number
  readonly effect: Effect
  readonly millis?: number | undefined
}

/** Asked at each injection point. */
export class Faults {
  /** No fault strikes while this is false. */
  enabled = false
  /** Whether they are over: handlers succeed from now on, and readers hurry. */
  haveEnded = false
  /** The faults that have struck, in order. */
  readonly struck: Array<Fault> = []
  private readonly plan: ReadonlyArray<Fault>
  private readonly passed = new Map<Point, number>()

  constructor(plan: ReadonlyArray<Fault>) {
    this.plan = plan
  }

  at(point: Point): Fault | undefined {
    if (!this.enabled) return undefined
    const count = (this.passed.get(point) ?? 0) + 1
    this.passed.set(point, count)
    const fault = this.plan.find(({ nth, point: at, times }) => at === point && count >= nth && count < nth + times)
    if (fault !== undefined) this.struck.push(fault)
    return fault
  }

  /** Whether a commit has been reported as failed although it was done. */
  get hasMisreported(): boolean {
    return this.struck.some(({ effect }) => effect === "reported")
  }
}

/** Notifies those that watch a file that it was written, unless a fault prevents it. */
export const notify = (host: SimulatedHost, faults: Faults, filename: string): void => {
  const fault = faults.at("watch")
  host.notifyWatchers(filename, fault?.effect === "lost" ? 0 : fault?.effect === "doubled" ? 2 : 1)
}
