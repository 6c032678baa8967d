/** Runs one program, with its faults, and checks what has happened. */
import { Position, type RecordedEvent } from "@caravel/domain"
import type { ConsumerStore } from "@caravel/pubsub"
import { Cause, Data, Effect, Exit, Fiber, FiberRef, HashSet, Logger, Option, Random, Schedule } from "effect"
import { Execution } from "./Execution.js"
import { Faults } from "./Faults.js"
import * as FaultyDriver from "./FaultyDriver.js"
import { History } from "./History.js"
import * as LateAnswers from "./LateAnswers.js"
import * as Observer from "./Observer.js"
import * as Oracle from "./Oracle.js"
import type { Program } from "./Program.js"
import * as Reads from "./Reads.js"
import { restoration, type Within } from "./Restoration.js"
import { SimulatedHost } from "./SimulatedHost.js"
import { type Parts, recovery, type Tagged, waitWhile } from "./Steps.js"
import * as World from "./World.js"

/** Where files are, and what is to be tried instead of Caravel's own services. */
export interface Options {
  /** A directory with the files of `World.createTemplates`; for SQLite only. */
  readonly directory?: string | undefined
  /** Replaces the services: tests put broken ones in. */
  readonly wrap?: ((services: World.Services) => World.Services) | undefined
}

/** What a simulation has found. */
export interface Result {
  /** What does not hold; nothing if all is well. */
  readonly problems: ReadonlyArray<string>
  /** Two runs with the same trace were the same. */
  readonly trace: string
  /** The number of tasks that have run. */
  readonly turns: number
  readonly commands: number
  readonly events: number
  readonly faults: number
  /** The simulated time, in seconds. */
  readonly seconds: number
}

/** The maximum number of tasks in a simulation. */
const maxTurns = 100_000

/** How many times the clock moves between two looks at the checkpoints. */
const lookInterval = 8

/** Each simulation has a file of its own. */
let simulations = 0

/** Runs a program. No other simulation may run in this process meanwhile. */
export const simulate = async (program: Program, options: Options = {}): Promise<Result> => {
  const { order, preemption, seed } = program
  const host = new SimulatedHost({ seed, order, preemption, maxTurns })
  const faults = new Faults(program.faults)
  const history = new History()
  const filename = program.adapter === "sqlite" ? `${options.directory}/simulated-${simulations++}.db` : undefined
  if (filename !== undefined) World.copyTemplate(World.templateOf(options.directory!, program.isLong), filename)

  let store: ConsumerStore.ConsumerStore["Type"] | undefined
  const layer = filename === undefined
    ? await World.memory(program.isLong, (used) => {
      store = program.isLate ? LateAnswers.delay(used, seed, history) : used
    })
    : World.sqlite(filename)
  const nodes = Array.from({ length: program.nodes }, (_, index) =>
    new World.Node(index, {
      host,
      layer,
      wrap: options.wrap ?? ((services) => services)
    }))
  const observer = filename === undefined
    ? Observer.ofMemory(() => ({ journal: nodes[0]!.services!.journal, store: store! }))
    : Observer.ofFile(filename)
  const execution = new Execution({ program, host, faults, history, nodes, observer, filename, mark: "s" })
  const newcomer = new World.Node(program.nodes, { host, layer, wrap: (services) => services })
  const simulation = new Simulation({ ...execution.parts, execution, newcomer })

  const restoreHost = host.install()
  const restoreDriver = FaultyDriver.install(faults, host)
  let events: ReadonlyArray<RecordedEvent> = []
  try {
    let exit: Exit.Exit<ReadonlyArray<RecordedEvent>, Tagged> | undefined
    const fiber = Effect.runFork(configured(simulation.program, program, history), {
      scheduler: host.schedulerOf(undefined)
    })
    fiber.addObserver((end) => {
      exit = end
    })
    let idle = 0
    host.onIdle = () => {
      for (const node of nodes) node.observe(history)
      if (simulation.isOpen && ++idle % lookInterval === 0) Oracle.checkCheckpoints(history, observer)
    }
    const end = await host.run(() => exit !== undefined)
    if (end !== "done") history.report(`the simulation is ${end}: ${simulation.stage}`)
    else if (Exit.isFailure(exit!)) {
      if (!(Cause.squash(exit.cause) instanceof Stopped)) {
        history.report(`the simulation failed while ${simulation.stage}: ${Cause.pretty(exit.cause)}`)
      }
    } else {
      events = exit!.value
      simulation.isOpen = false
      // What is left ends by itself, as nothing can wake it.
      if (await host.run(() => false) === "endless") history.report("something runs on after everything has closed")
      for (const problem of observer.remains()) history.report(problem)
    }
    for (const error of host.uncaught) history.report(`an error was thrown: ${String(error)}`)
  } finally {
    const open = restoreDriver()
    restoreHost()
    observer.close()
    if (open > 0 && history.problems.length === 0) history.report(`${open} connections were not closed`)
    if (filename !== undefined) World.removeFiles(filename)
  }
  return {
    problems: history.problems,
    trace: `${host.trace}/${host.turns}/${events.length}/${history.problems.length}`,
    turns: host.turns,
    commands: history.submissions.length,
    events: events.length,
    faults: faults.struck.length,
    seconds: host.now / 1000
  }
}

/** Everything random is from the seed, and what is logged is kept. */
const configured = <A, E>(effect: Effect.Effect<A, E>, { seed }: Program, history: History): Effect.Effect<A, E> =>
  effect.pipe(
    Effect.withRandom(Random.make(seed)),
    Effect.locally(
      FiberRef.currentLoggers,
      HashSet.make(Logger.make(({ cause, logLevel, message }) => {
        const text = `${logLevel.label}: ${[message].flat().map(String).join(" ")} ${String(cause)}`
        history.logs.push(text)
        if (/has ended, and is started again/.test(text)) history.report(`a background fiber ended: ${text}`)
      }))
    )
  )

/** A simulation cannot continue; why is reported. */
class Stopped extends Data.TaggedError("Stopped") {}

class Simulation {
  stage = "opening"
  /** Whether the database is open, so that it can be looked at. */
  isOpen = false
  private readonly parts: Parts & { readonly execution: Execution; readonly newcomer: World.Node }

  constructor(parts: Simulation["parts"]) {
    this.parts = parts
  }

  /** Runs the callers, ends all faults, and waits until everything has recovered. Returns the journal. */
  readonly program: Effect.Effect<ReadonlyArray<RecordedEvent>, Tagged> = Effect.gen(this, function*() {
    const { execution, faults, history, nodes, observer, program } = this.parts
    for (const node of nodes) yield* execution.open(node)
    faults.enabled = true
    this.isOpen = true
    this.stage = "running the callers"
    const callers = yield* Effect.forEach(program.callers, (steps) => Effect.forkDaemon(execution.caller(steps)))
    // Faults end when the callers have, or cannot go on because of them.
    yield* Effect.timeoutOption(Fiber.awaitAll(callers), 20_000)
    faults.enabled = false
    faults.haveEnded = true
    for (const { process } of nodes) process.suspended = false
    this.stage = "waiting for the callers"
    yield* this.within(`a caller still waits ${recovery / 1000} seconds after the last fault`, Fiber.awaitAll(callers))
    for (const fiber of callers) {
      const exit = yield* Fiber.await(fiber)
      if (Exit.isFailure(exit)) history.report(`a caller ended: ${String(exit.cause)}`)
    }
    for (const node of nodes) if (node.services === undefined) yield* execution.open(node)
    yield* this.afresh
    yield* this.consumersCatchUp
    yield* this.readersCatchUp
    this.stage = "verifying"
    const services = nodes[0]!.services!
    yield* execution.verify(services)
    const events = yield* services.journal.read(Position.make(0), Number.MAX_SAFE_INTEGER)
    Oracle.check(program, history, events, observer, faults)
    yield* Reads.check(nodes.map(({ services }) => services!), events, history)
    this.isOpen = false
    if (program.restoration !== null) {
      this.stage = "restoring a backup"
      const within: Within = (problem, effect) => this.within(problem, effect)
      yield* restoration(program.restoration, events, { ...this.parts, within })
    }
    this.stage = "closing"
    for (const node of nodes) {
      yield* this.within(
        "the database does not close",
        Effect.zipRight(Effect.sync(() => node.observe(history)), node.close)
      )
    }
    return events
  })

  /** Fails if an effect does not end in time. What has gone wrong is reported then, and the simulation ends. */
  private within<A, E>(problem: string, effect: Effect.Effect<A, E>): Effect.Effect<A, E | Stopped> {
    return Effect.flatMap(Effect.timeoutOption(Effect.disconnect(effect), recovery), (result) => {
      if (Option.isSome(result)) return Effect.succeed(result.value)
      this.parts.history.report(problem)
      return new Stopped()
    })
  }

  /** A new command succeeds on each node. */
  private readonly afresh = Effect.suspend(() => {
    this.stage = "sending a new command"
    const { execution, history, nodes } = this.parts
    return Effect.forEach(nodes, (_, index) => {
      const command = { _tag: "CreateTenant", pubkey: `f${index}`.repeat(32) }
      const before = history.submissions.length
      const sent = execution.caller([{ _tag: "Submit", node: index, commands: [command] }])
      return Effect.zipRight(
        this.within("a command after the last fault is never answered", sent),
        Effect.sync(() => {
          const { error, outcome } = history.submissions[before]!
          if (outcome !== "acknowledged") {
            history.report(`a command after the last fault was ${outcome}: ${String(error)}`)
          }
        })
      )
    }, { discard: true })
  })

  /** The consumers handle what is left, also what they have parked, and what their handlers send meanwhile. */
  private readonly consumersCatchUp = Effect.suspend(() => {
    const { execution, history, nodes, observer } = this.parts
    const node = nodes.at(-1)!
    const services = node.services!
    const consumers = history.consumers.filter(({ from }) => from !== undefined)
    if (consumers.length === 0) return Effect.void
    this.stage = "running the consumers"
    const reached: Effect.Effect<void, Tagged> = Effect.suspend(() => {
      const head = observer.head()
      return Effect.forEach(consumers, ({ name }) =>
        services.consumer.awaitPosition(name, head).pipe(
          // A consumer that has halted may not have started again yet.
          Effect.retry({ while: ({ _tag }) => _tag === "ConsumerHalted", schedule: Schedule.spaced(50) }),
          Effect.zipRight(services.consumer.requestReplay(name)),
          Effect.zipRight(services.consumer.parked(name))
        )).pipe(
          Effect.flatMap((parked) => parked.flat().length > 0 || observer.head() > head ? reached : Effect.void)
        )
    })
    const running = Effect.forEach(
      consumers,
      (consumer) => node.fork(services.consumer.run(execution.consumers.optionsOf(consumer, services)))
    )
    return Effect.flatMap(running, (fibers) =>
      Effect.zipRight(
        this.within("a consumer does not reach the head", node.on(reached)),
        this.within("a consumer does not stop", Fiber.interruptAll(fibers))
      ))
  })

  private readonly readersCatchUp = Effect.suspend(() => {
    this.stage = "waiting for readers"
    const { history, observer } = this.parts
    const last = observer.activities(0, observer.head()).at(-1)?.[0] ?? 0
    const isBehind = () => history.readers.some(({ isOpen, seen }) => isOpen && (seen.at(-1)?.position ?? 0) < last)
    return waitWhile(isBehind)
  })
}
