/**
 * The host of a simulation, in place of Node's: an event loop that chooses the next task by a seed, and a clock that
 * moves only when nothing is ready to run.
 *
 * Timers, clocks and random numbers of the process are replaced while the host is installed, so that the code under
 * test runs unchanged: Effect's own clock, `performance.now()`, `setImmediate` and `crypto.randomUUID()` are all
 * simulated. What the host really has to wait for, such as opening a file, is awaited while the simulated clock stands.
 */
import type { RuntimeFiber } from "effect/Fiber"
import type { Scheduler } from "effect/Scheduler"
import fs from "node:fs"
import { syncBuiltinESMExports } from "node:module"
import process from "node:process"
import { Prng } from "./Prng.js"
import { type Timer as AnyTimer, Timers } from "./Timers.js"

/** How the next task is chosen. */
export type Order = "fifo" | "mixed" | "random" | "lifo"

/** The options of a host. */
export interface Options {
  readonly seed: number
  readonly order: Order
  /** The mean number of operations after which a fiber is preempted; never if it is 0. */
  readonly preemption: number
  /** More tasks than this mean that the program does not end. */
  readonly maxTurns: number
}

/** Why a simulation stopped. `stuck`: nothing is ready, and nothing will be. `endless`: it has run too many tasks. */
export type End = "done" | "stuck" | "endless"

/** A process of the simulation: its tasks and timers can be suspended together. */
export class Process {
  readonly name: string
  suspended = false

  constructor(name: string) {
    this.name = name
  }
}

type Fiber = RuntimeFiber<unknown, unknown>

type RunnableFiber = Fiber & { readonly run?: () => void }

interface Task {
  readonly run: () => void
  readonly process: Process | undefined
  readonly fiber?: Fiber | undefined
}

type Timer = AnyTimer<Process>

interface Watcher {
  readonly filename: string
  readonly listener: () => void
  readonly process: Process | undefined
}

const real = { setImmediate, setTimeout }

/** To yield takes a fiber about this many operations. A lower limit would make it yield forever. */
const yieldCost = 24

/** The instant at which simulated time starts. */
const start = Date.UTC(2026, 0, 1)

export class SimulatedHost {
  /** The milliseconds since the start, monotonic. */
  now = 0
  /** How far the wall clock is ahead of the monotonic one, besides the start. */
  wallOffset = 0
  /** The number of tasks that have run. */
  turns = 0
  /** Summarizes every choice so far: two runs with the same trace were the same. */
  trace = 0
  /** Called whenever nothing is ready, before the clock moves. */
  onIdle: () => void = () => {}
  /** How long timers wait for the work of the real host, in milliseconds of real time. */
  patience = 500
  /** Called when a database file has been opened. */
  onConnection: () => void = () => {}
  private readonly options: Options
  private readonly prng: Prng
  private readonly ids: Prng
  private ready: Array<Task> = []
  /** Tasks that run before all others, in order. */
  private readonly urgent: Array<Task> = []
  /** The fiber that takes its first step. */
  private starting: Fiber | undefined
  private readonly started = new WeakSet<Fiber>()
  private readonly schedulers = new Map<Process | undefined, Scheduler>()
  private readonly timers = new Timers<Process>()
  private alarms: Array<{ readonly turn: number; readonly run: () => void }> = []
  private readonly watchers = new Set<Watcher>()
  private process: Process | undefined
  private waiting = 0
  private readonly thrown: Array<unknown> = []

  constructor(options: Options) {
    this.options = options
    this.prng = new Prng(options.seed)
    this.ids = new Prng(options.seed ^ 0x5eed)
  }

  /** Errors that tasks threw, which no caller has caught. */
  get uncaught(): ReadonlyArray<unknown> {
    return this.thrown
  }

  /** The scheduler of a process's fibers. */
  schedulerOf(process: Process | undefined): Scheduler {
    const known = this.schedulers.get(process) ?? this.makeScheduler(process)
    this.schedulers.set(process, known)
    return known
  }

  private makeScheduler(process: Process | undefined): Scheduler {
    const { preemption } = this.options
    const prng = this.prng
    let limit = 2048
    return {
      shouldYield: (fiber) => {
        if (fiber.currentOpCount <= limit || fiber === this.starting) return false
        limit = preemption === 0 ? 2048 : yieldCost + prng.below(2 * preemption)
        return 0
      },
      scheduleTask: (run, _, fiber) => {
        if (fiber === undefined || this.started.has(fiber)) return this.enqueue({ run, process, fiber })
        this.started.add(fiber)
        // A fiber that is forked schedules itself; one of `Effect.all` is started by a task of its parent's.
        if (run === (fiber as RunnableFiber).run) this.enqueue({ run, process, fiber })
        else this.urgent.push({ run: () => this.start(fiber, run), process })
      }
    }
  }

  /** Lets time pass in the middle of a task, as a slow call does. */
  elapse(millis: number): void {
    this.now += millis
  }

  /** Runs `alarm` once so many more tasks have run. */
  afterTurns(turns: number, alarm: () => void): void {
    this.alarms.push({ turn: this.turns + turns, run: alarm })
  }

  /** Suspends a process for a time, like a machine that sleeps. */
  suspend(process: Process, millis: number): void {
    process.suspended = true
    this.addTimer(
      () => {
        process.suspended = false
      },
      millis,
      undefined
    )
  }

  /** Counts work of the real host that is under way: the clock stands still until it has ended. */
  beginWaiting(): void {
    this.waiting++
  }

  endWaiting(): void {
    this.waiting--
  }

  /** Notifies those that watch a file, as often as asked. */
  notifyWatchers(filename: string, times: number): void {
    for (const { filename: watched, listener: run, process } of this.watchers) {
      if (watched !== filename) continue
      for (let count = 0; count < times; count++) this.enqueue({ run, process })
    }
  }

  /** Runs tasks until `done` holds. */
  async run(done: () => boolean): Promise<End> {
    while (!done()) {
      const task = this.take()
      if (task !== undefined) {
        if (++this.turns > this.options.maxTurns) return "endless"
        this.execute(task)
        this.ring()
      } else if (this.isDue) this.advance()
      // A suspended process may be what the host would be waiting for.
      else if (this.waiting > 0 && this.ready.length === 0) await this.awaitHost()
      else {
        this.onIdle()
        if (!this.hasReady && !this.advance()) return "stuck"
      }
    }
    return "done"
  }

  /** Replaces the host of this JavaScript realm. Returns what restores it. */
  install(): () => void {
    const timer = (run: (...parameters: ReadonlyArray<any>) => void, millis = 0, ...parameters: ReadonlyArray<any>) =>
      this.handleOf(this.addTimer(() => run(...parameters), millis, this.process))
    const immediate = (run: (...parameters: ReadonlyArray<any>) => void, ...parameters: ReadonlyArray<any>) =>
      this.handleOf(this.addTimer(() => run(...parameters), 0, this.process))
    const clear = (handle: { readonly cancel?: () => void } | undefined) => handle?.cancel?.()
    const restored = [
      replace(globalThis, "setTimeout", timer),
      replace(globalThis, "setImmediate", immediate),
      replace(globalThis, "clearTimeout", clear),
      replace(globalThis, "clearImmediate", clear),
      replace(Date, "now", () => this.wallMillis),
      replace(performance, "now", () => {
        // Time passes while code runs, though by so little that the order of events does not depend on it.
        this.now += 0.0005
        return this.now
      }),
      replace(process.hrtime, "bigint", () => BigInt(Math.round(this.now * 1e6))),
      replace(Math, "random", () => this.ids.next()),
      replace(crypto, "randomUUID", () => this.uuid()),
      replace(fs, "watch", (filename: string, _: unknown, listener: () => void) => this.watch(filename, listener))
    ]
    syncBuiltinESMExports()
    return () => {
      for (const restore of restored) restore()
      syncBuiltinESMExports()
    }
  }

  get wallMillis(): number {
    return Math.floor(start + this.now + this.wallOffset)
  }

  private uuid(): string {
    const hex = Array.from({ length: 32 }, () => this.ids.below(16).toString(16)).join("")
    return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-a${hex.slice(17, 20)}-${hex.slice(20)}`
  }

  private watch(filename: string, listener: () => void) {
    const watcher: Watcher = { filename, listener, process: this.process }
    this.watchers.add(watcher)
    return { on: () => {}, close: () => void this.watchers.delete(watcher) }
  }

  /**
   * Runs the first step of a fiber of `Effect.all` at once, without preempting it. Effect relies on that order: a parent
   * that is interrupted before this fiber has started would wait for it forever.
   */
  private start(fiber: Fiber, resume: () => void): void {
    resume()
    const index = this.ready.findIndex((task) => task.fiber === fiber)
    for (const { process, run } of index === -1 ? [] : this.ready.splice(index, 1)) {
      this.urgent.unshift({
        process,
        run: () => {
          this.starting = fiber
          run()
          this.starting = undefined
        }
      })
    }
  }

  private enqueue(task: Task): void {
    this.ready.push(task)
  }

  private addTimer(run: () => void, millis: number, process: Process | undefined): Timer {
    return this.timers.add({ at: this.now + Math.max(0, Number(millis) || 0), run, process })
  }

  private handleOf(timer: Timer) {
    const handle = {
      cancel: () => {
        timer.cancelled = true
      },
      ref: () => handle,
      unref: () => handle,
      hasRef: () => true
    }
    return handle
  }

  private get isDue(): boolean {
    return (this.timers.first?.at ?? Infinity) <= this.now
  }

  /** Moves the clock to the next timer. Returns false if there is none. */
  private advance(): boolean {
    const first = this.timers.first
    if (first === undefined) return false
    this.now = Math.max(this.now, first.at)
    this.timers.removeFirst()
    this.enqueueTimer(first)
    for (let due = this.timers.first; due !== undefined && due.at <= this.now; due = this.timers.first) {
      this.timers.removeFirst()
      this.enqueueTimer(due)
    }
    return true
  }

  private enqueueTimer(timer: Timer): void {
    const run = () => {
      // It may have been cancelled after it came due.
      if (!timer.cancelled) {
        timer.cancelled = true
        timer.run()
      }
    }
    this.enqueue({ run, process: timer.process })
  }

  private get hasReady(): boolean {
    return this.urgent.length > 0 || this.ready.some(({ process }) => process?.suspended !== true)
  }

  private take(): Task | undefined {
    if (this.urgent.length > 0) return this.urgent.shift()
    if (this.ready.length === 0) return undefined
    const eligible = this.ready.some(({ process }) => process?.suspended === true)
      ? this.ready.flatMap(({ process }, index) => process?.suspended === true ? [] : [index])
      : undefined
    const count = eligible?.length ?? this.ready.length
    if (count === 0) return undefined
    const chosen = count === 1 ? 0 : this.choose(count)
    this.trace = (Math.imul(this.trace, 31) + chosen + 7 * count) >>> 0
    const index = eligible?.[chosen] ?? chosen
    const task = this.ready[index]
    if (index === 0) this.ready.shift()
    else this.ready.splice(index, 1)
    return task
  }

  private choose(count: number): number {
    switch (this.options.order) {
      case "fifo":
        return 0
      case "random":
        return this.prng.below(count)
      case "mixed":
        return this.prng.chance(0.8) ? 0 : this.prng.below(count)
      case "lifo":
        return this.prng.chance(0.8) ? count - 1 : this.prng.below(count)
    }
  }

  private execute({ process, run }: Task): void {
    this.process = process
    try {
      run()
    } catch (error) {
      this.thrown.push(error)
    } finally {
      this.process = undefined
    }
  }

  private ring(): void {
    if (this.alarms.length === 0) return
    const due = this.alarms.filter(({ turn }) => turn <= this.turns)
    if (due.length === 0) return
    this.alarms = this.alarms.filter(({ turn }) => turn > this.turns)
    for (const { run } of due) run()
  }

  /** Lets the real host continue until a task is ready; if there is none for long, timers may help. */
  private async awaitHost(): Promise<void> {
    let expired = false
    const timer = real.setTimeout(() => {
      expired = true
    }, this.patience)
    while (!expired && this.waiting > 0 && !this.hasReady && !this.isDue) {
      await new Promise<void>((resume) => real.setImmediate(resume))
    }
    clearTimeoutOf(timer)
    if (expired) this.advance()
  }
}

const realClearTimeout = clearTimeout
const clearTimeoutOf = (timer: NodeJS.Timeout) => realClearTimeout(timer)

const replace = (target: object, name: string, value: unknown): () => void => {
  const own = Object.getOwnPropertyDescriptor(target, name)
  Object.defineProperty(target, name, {
    value,
    configurable: true,
    writable: true,
    enumerable: own?.enumerable ?? false
  })
  return () => {
    if (own === undefined) Reflect.deleteProperty(target, name)
    else Object.defineProperty(target, name, own)
  }
}
