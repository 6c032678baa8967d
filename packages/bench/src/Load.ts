/** The load: each caller issues its next command when the previous one was answered. */
import { Array as Arr, Effect, Schedule } from "effect"
import { monitorEventLoopDelay, performance } from "node:perf_hooks"
import process from "node:process"
import type { CommandName } from "./Case.js"
import { type Input, inputs, type Part } from "./Input.js"

/** The commands to issue, and for how long. */
export interface Load {
  readonly command: CommandName
  /** The number of relays in the database at the start. */
  readonly relays: number
  /** The part of the relays that this process changes; all of them by default. */
  readonly part?: Part
  readonly callers: number
  /** After this many milliseconds, no further commands are issued. Each caller issues at least one. */
  readonly millis: number
  /** The maximum number of commands. */
  readonly commands?: number
  /** Whether to record how long each command took. */
  readonly latencies?: boolean
}

/** The result of a load. */
export interface Outcome {
  readonly commands: number
  /** The milliseconds from the first command's issue to the last answer. */
  readonly millis: number
  /** The CPU time that the process has taken, in milliseconds. */
  readonly cpuMillis: number
  /** The duration of each command in milliseconds, if recorded. */
  readonly latencies: ReadonlyArray<number>
}

/** An opened subject. */
export interface Session {
  readonly run: (load: Load) => Effect.Effect<Outcome>
  /** The number of activities that the subject's only subscriber has received. */
  readonly notified: () => number
}

/** Runs a load, and checks that every command was announced. */
export const run = (session: Session, load: Load): Effect.Effect<Outcome> =>
  Effect.gen(function*() {
    const before = session.notified()
    const outcome = yield* session.run(load)
    const announced = Effect.suspend(() =>
      session.notified() - before === outcome.commands
        ? Effect.void
        : Effect.fail(`${session.notified() - before} of ${outcome.commands} commands were announced`)
    )
    yield* Effect.retry(announced, { times: 1000, schedule: Schedule.spaced("5 millis") }).pipe(Effect.orDie)
    return outcome
  })

/**
 * Runs a load. `delay` is the 99th percentile of the milliseconds between two runs of a timer that is due each
 * millisecond.
 */
export const delayed = (session: Session, load: Load): Effect.Effect<Outcome & { readonly delay: number }> =>
  Effect.gen(function*() {
    const delays = monitorEventLoopDelay({ resolution: 1 })
    delays.enable()
    // The timer runs before and after a load that blocks the event loop, which is then one long delay.
    yield* Effect.sleep("5 millis")
    const outcome = yield* run(session, load)
    yield* Effect.sleep("5 millis")
    delays.disable()
    return { ...outcome, delay: delays.percentile(99) / 1e6 }
  })

/** How often the warm-up is repeated at most. */
const mostRounds = 30

/**
 * Runs a load again and again until its rate has stopped growing: three times in a row it was not a twentieth higher
 * than ever before. A process that was just started becomes several times faster within some seconds.
 */
export const warmUp = (run: Session["run"], load: Load): Effect.Effect<void> => {
  const steady = (rounds: number, best: number, unchanged: number): Effect.Effect<void> =>
    Effect.flatMap(run(load), ({ commands, millis }) => {
      const rate = commands / millis
      const next = rate > best * 1.05 ? 0 : unchanged + 1
      return next === 3 || rounds === mostRounds ? Effect.void : steady(rounds + 1, Math.max(best, rate), next)
    })
  return load.millis === 0 ? Effect.void : steady(1, 0, 0)
}

/** Runs loads of blocking commands. Whatever the number of callers, `batch` commands are executed at once. */
export const blocking = (execute: (inputs: ReadonlyArray<Input>) => void, batch = 1): Session["run"] => (load) =>
  Effect.sync(() => {
    const meter = new Meter(load)
    while (meter.goesOn) {
      const started = performance.now()
      execute(Arr.makeBy(batch, () => meter.next()))
      meter.answered(started)
    }
    return meter.outcome
  })

/** Runs loads of commands that return promises. */
export const promising = (execute: (input: Input) => Promise<unknown>): Session["run"] => (load) =>
  Effect.promise(async () => {
    const meter = new Meter(load)
    const caller = async () => {
      while (meter.goesOn) {
        const started = performance.now()
        await execute(meter.next())
        meter.answered(started)
      }
    }
    await Promise.all(Arr.makeBy(load.callers, caller))
    return meter.outcome
  })

/** Runs loads of commands that are effects. */
export const effectful = <E>(execute: (input: Input) => Effect.Effect<unknown, E>): Session["run"] => (load) =>
  Effect.gen(function*() {
    const meter = new Meter(load)
    const caller = Effect.suspend(() => {
      let started = 0
      return Effect.whileLoop({
        while: () => meter.goesOn,
        body: () => {
          started = performance.now()
          return execute(meter.next())
        },
        step: () => meter.answered(started)
      })
    })
    yield* Effect.all(Arr.replicate(caller, load.callers), { concurrency: "unbounded", discard: true })
    return meter.outcome
  }).pipe(Effect.orDie)

/** Counts commands and time. */
class Meter {
  private readonly load: Load
  private readonly input: () => Input
  private readonly started = performance.now()
  private readonly cpu = process.cpuUsage()
  private readonly latencies: Array<number> = []
  private commands = 0

  constructor(load: Load) {
    this.load = load
    this.input = inputs(load)
  }

  get goesOn(): boolean {
    const { callers, commands = Number.POSITIVE_INFINITY, millis } = this.load
    return this.commands < commands && (this.commands < callers || performance.now() - this.started < millis)
  }

  next(): Input {
    this.commands++
    return this.input()
  }

  answered(started: number): void {
    if (this.load.latencies === true) this.latencies.push(performance.now() - started)
  }

  get outcome(): Outcome {
    const millis = performance.now() - this.started
    const { system, user } = process.cpuUsage(this.cpu)
    return { commands: this.commands, millis, cpuMillis: (system + user) / 1000, latencies: this.latencies }
  }
}
