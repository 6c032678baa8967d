/** The progress of a task, as a line that replaces itself. */
import { Clock, Effect } from "effect"
import type { Output } from "./Output.js"

/** How often the bar is drawn, in milliseconds. */
const interval = 100

const barWidth = 24

/**
 * Formats a number for people.
 *
 * @since 0.1.0
 * @category text
 */
export const number = (count: number): string => Math.round(count).toLocaleString("en")

/**
 * A number and a noun whose plural ends in s.
 *
 * @since 0.1.0
 * @category text
 */
export const counted = (count: number, noun: string): string => `${number(count)} ${noun}${count === 1 ? "" : "s"}`

/**
 * A fraction of 1, as a bar and in percent.
 *
 * @since 0.1.0
 * @category text
 */
export const bar = (share: number): string => {
  const filled = Math.floor(Math.min(1, share) * barWidth)
  const percent = Math.floor(Math.min(1, share) * 100)
  return `${"█".repeat(filled)}${"░".repeat(barWidth - filled)} ${String(percent).padStart(3)}%`
}

const duration = (seconds: number) => {
  const whole = Math.ceil(seconds)
  return whole < 100 ? `${whole} s` : `${Math.floor(whole / 60)} min ${whole % 60} s`
}

/**
 * A line with the progress, the rate and the remaining time. `before` items were done at the start, `seconds` ago.
 *
 * @since 0.1.0
 * @category text
 */
export const progressLine = (done: number, total: number, noun: string, seconds: number, before = 0): string => {
  const rate = (done - before) / Math.max(seconds, 0.001)
  const left = rate === 0 ? "" : `, ${duration(Math.max(0, total - done) / rate)} left`
  return `${bar(total === 0 ? 1 : done / total)}  ${number(done)} of ${counted(total, noun)}, ${number(rate)}/s${left}`
}

/**
 * A bar on standard error, if it is a terminal. It is redrawn every tenth of a second.
 *
 * @since 0.1.0
 * @category models
 */
export class ProgressBar {
  private readonly output: typeof Output.Service
  private readonly noun: string
  private readonly started: number
  private drawn: number
  /** How much was done when the bar was first shown. */
  private before: number | undefined

  private constructor(output: typeof Output.Service, noun: string, now: number) {
    this.output = output
    this.noun = noun
    this.started = now
    this.drawn = now
  }

  /** Makes a bar that is removed when the scope closes. */
  static readonly make = (output: typeof Output.Service, noun: string) =>
    Effect.acquireRelease(
      Effect.map(Clock.currentTimeMillis, (now) => new ProgressBar(output, noun, now)),
      (bar) => bar.clear
    )

  /** Shows the progress. */
  readonly show = (done: number, total: number): Effect.Effect<void> =>
    Effect.flatMap(Clock.currentTimeMillis, (now) => {
      this.before ??= done
      if (!this.output.isErrorTerminal || now - this.drawn < interval) return Effect.void
      this.drawn = now
      const line = progressLine(done, total, this.noun, (now - this.started) / 1000, this.before)
      return this.output.status(this.output.errorStyle.dim(line))
    })

  /** Removes the bar, so that other lines can be printed. */
  get clear(): Effect.Effect<void> {
    return this.drawn > this.started ? this.output.status("") : Effect.void
  }
}
