/** Executes the steps of a program, and records what happens. */
import { type Activity, Command, type StorageError, type Verification } from "@caravel/domain"
import { Backup } from "@caravel/sql"
import { Cause, Data, Effect, Exit, Fiber, FiberId, Function, Option, Schedule, Stream } from "effect"
import { ConsumerSteps } from "./ConsumerSteps.js"
import type { Note, Outcome, Submission, Transaction } from "./History.js"
import type * as Program from "./Program.js"
import { ReaderSteps } from "./ReaderSteps.js"
import { isStorageError, type Parts, Steps, type Tagged } from "./Steps.js"
import type { Node, Services } from "./World.js"

/** The work of a caller's transaction failed because the program says so. */
class Planned extends Data.TaggedError("Planned") {}

export class Execution extends Steps {
  readonly consumers: ConsumerSteps
  private readonly readers: ReaderSteps
  private readonly external = Effect.unsafeMakeSemaphore(1)
  private marks = 0

  constructor(parts: Parts) {
    super(parts)
    this.consumers = new ConsumerSteps(parts)
    this.readers = new ReaderSteps(parts)
  }

  /** Runs the steps of a caller, one after another. */
  caller(steps: ReadonlyArray<Program.Step>): Effect.Effect<void> {
    return Effect.forEach(steps, (step) => this.step(step), { discard: true })
  }

  private step(step: Program.Step, transaction?: Transaction): Effect.Effect<void> {
    const { host } = this.parts
    switch (step._tag) {
      case "Submit":
        return this.submit(step, transaction)
      case "Transaction":
        return this.transaction(step, transaction)
      case "Together":
        return Effect.forEach(step.steps, (inner) => this.step(inner, transaction), {
          concurrency: "unbounded",
          discard: true
        })
      case "Note":
        return this.note(step.node, step.text, transaction)
      case "Sleep":
        return Effect.sleep(step.millis)
      case "Subscribe":
        return this.readers.subscribe(step)
      case "Follow":
        return this.readers.follow(step)
      case "Consume":
        return this.consumers.consume(step)
      case "HandleOnce":
        return this.consumers.handleOnce(step)
      case "Replay":
        return this.consumers.replay(step)
      case "Reset":
        return this.consumers.reset(step)
      case "AwaitPosition":
        return this.consumers.awaitPosition(step)
      case "Restart":
        return this.restart(step)
      case "Suspend":
        return Effect.sync(() => host.suspend(this.node(step.node).process, step.millis))
      case "JumpClock":
        return Effect.sync(() => {
          host.wallOffset += step.millis
        })
      case "Verify":
        return this.whenOpen(
          step.node,
          (services) => Effect.map(Effect.exit(this.verify(services)), (exit) => this.checkFailure("verify", exit))
        )
      case "Backup":
        return this.backup
    }
  }

  /** Verifies the database to its head, and reports what it finds. */
  verify({ journal }: Services): Effect.Effect<void, StorageError> {
    const { history, observer } = this.parts
    return Effect.suspend(() => {
      const before = observer.head()
      let last: Verification | undefined
      const verified = Stream.runForEach(journal.verify, (step) =>
        Effect.sync(() => {
          last = step
          for (const drift of step.differences) history.report(`verify found ${JSON.stringify(drift)}`)
        }))
      return Effect.map(this.onHost(verified), () => {
        const { events, head } = last ?? { events: 0, head: -1 }
        if (events !== head || head < before || head > observer.head()) {
          history.report(
            `verify ended after ${events} events, with the head ${head} of ${before} to ${observer.head()}`
          )
        }
      })
    })
  }

  /** Reports a failure that the storage cannot have caused. */
  private checkFailure(name: string, exit: Exit.Exit<unknown, unknown>): void {
    if (Exit.isSuccess(exit) || Cause.isInterruptedOnly(exit.cause)) return
    this.see(`the error of ${name}`, exit.cause)
    if (!this.isExpected(exit.cause)) this.parts.history.report(`${name} failed: ${Cause.pretty(exit.cause)}`)
  }

  /** Runs what the real host has to do, while the clock stands still. */
  onHost<A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E> {
    const { host } = this.parts
    return this.external.withPermits(1)(
      Effect.acquireUseRelease(
        Effect.sync(() => host.beginWaiting()),
        () => effect,
        () => Effect.sync(() => host.endWaiting())
      )
    )
  }

  private readonly backup = Effect.suspend(() => {
    const { filename, history, observer } = this.parts
    if (filename === undefined) return Effect.void
    const before = observer.head()
    const copied = Backup.backup({ from: filename, to: `${filename}.backup`, overwrite: true })
    return Effect.map(this.onHost(Effect.exit(copied)), (exit) => {
      this.checkFailure("a backup", exit)
      const position = Exit.isSuccess(exit) ? exit.value.position : before
      if (position < before || position > observer.head()) {
        history.report(`a backup ends at ${position}, the journal at ${before} to ${observer.head()}`)
      }
    })
  })

  private restart({ millis, node: index }: Extract<Program.Step, { readonly _tag: "Restart" }>): Effect.Effect<void> {
    const node = this.node(index)
    return Effect.suspend(() => {
      // Another caller is restarting it.
      if (node.services === undefined) return Effect.void
      return node.close.pipe(Effect.zipRight(Effect.sleep(millis)), Effect.zipRight(this.open(node)))
    })
  }

  /** Opens a node, and tries again while that fails. */
  open(node: Node): Effect.Effect<void> {
    return Effect.retry(this.external.withPermits(1)(node.open), Schedule.spaced(50)).pipe(
      Effect.orDie,
      Effect.map(() => {
        node.openedAt = this.parts.observer.head()
      })
    )
  }

  // ---- commands

  private submit(step: Program.Submit, transaction: Transaction | undefined): Effect.Effect<void> {
    const attempt = (count: number): Effect.Effect<void> =>
      this.whenOpen(
        step.node,
        (services, node) =>
          Effect.flatMap(this.submitOnce(step, services, node, transaction), (outcome) =>
            step.key !== undefined && count > 1 && (outcome === "failed" || outcome === "interrupted")
              ? attempt(count - 1)
              : Effect.void)
      )
    return attempt(step.attempts ?? 1)
  }

  private submitOnce(
    step: Program.Submit,
    { command }: Services,
    node: Node,
    transaction: Transaction | undefined
  ): Effect.Effect<Outcome> {
    const { history, observer } = this.parts
    const submission: Submission = {
      mark: `${this.parts.mark}${this.marks++}`,
      node: step.node,
      commands: step.commands,
      expected: step.expected,
      key: step.key,
      transaction,
      sentAt: observer.head(),
      answeredAt: 0,
      outcome: "pending",
      activities: [],
      error: undefined,
      present: 0,
      isUncertain: false
    }
    history.submissions.push(submission)
    const sent = (command.submit(step.commands as never) as Effect.Effect<ReadonlyArray<Activity | undefined>, Tagged>)
      .pipe(
        Command.withMetadata({ correlationId: submission.mark }),
        step.key === undefined ? Function.identity : Command.withIdempotencyKey(step.key),
        step.expected === undefined ? Function.identity : Command.expecting(step.expected),
        Effect.onExit((exit) => Effect.sync(() => this.answered(submission, node, exit)))
      )
    return Effect.map(this.stoppable(step, node, sent, transaction !== undefined), () => {
      // A fiber that is interrupted before it starts sends nothing.
      if (submission.outcome === "pending") submission.outcome = "interrupted"
      return submission.outcome
    })
  }

  /** Runs an effect in a fiber of its own, which the step may stop. Its outcome is recorded by itself. */
  private stoppable<A, E>(
    { interruptAfter, timeout }: Program.Stop,
    node: Node,
    effect: Effect.Effect<A, E>,
    isInside: boolean
  ): Effect.Effect<void> {
    const bounded = timeout === undefined ? effect : Effect.timeout(effect, timeout)
    const running = Effect.exit(bounded)
    // A fiber of a transaction stays in its context.
    const forked = isInside ? Effect.fork(running) : node.on(Effect.forkDaemon(running))
    return Effect.flatMap(forked, (fiber) => {
      if (interruptAfter !== undefined) {
        this.parts.host.afterTurns(interruptAfter, () => fiber.unsafeInterruptAsFork(FiberId.none))
      }
      return Effect.asVoid(Effect.onInterrupt(Fiber.await(fiber), () => Fiber.interrupt(fiber)))
    })
  }

  private answered(
    submission: Submission,
    node: Node,
    exit: Exit.Exit<ReadonlyArray<Activity | undefined>, unknown>
  ): void {
    const { faults, history, nodes, observer } = this.parts
    submission.answeredAt = observer.head()
    submission.outcome = outcomeOf(exit, isStorageError)
    submission.present = observer.countOf(submission.mark)
    submission.isUncertain = faults.hasMisreported
    if (Exit.isFailure(exit)) {
      submission.error = Option.getOrUndefined(Cause.failureOption(exit.cause)) ?? Cause.squash(exit.cause)
      this.see("the error of a command", exit.cause)
      return
    }
    submission.activities = exit.value
    for (const each of nodes) each.observe(history)
    for (const activity of exit.value) {
      if (activity === undefined) continue
      const where = `${submission.mark}, ${activity.activityType} at position ${activity.position},`
      if (submission.transaction !== undefined) {
        const { id } = activity
        if (!observer.has(activity.position, id) && nodes.some(({ broadcast }) => broadcast.has(id))) {
          history.report(`${where} was broadcast before the transaction around it was committed`)
        }
      } else {
        if (!observer.has(activity.position, activity.id)) {
          history.report(`${where} was acknowledged before it was committed`)
        }
        // What a repeated command did before the process opened the database was broadcast by others.
        const isNew = node.openedAt !== undefined && activity.position > node.openedAt
        if (node.services !== undefined && isNew && !this.hasReadFaults && !node.broadcast.has(activity.id)) {
          history.report(`${where} was acknowledged before it was broadcast`)
        }
      }
    }
    this.see("an acknowledgement", exit.value)
  }

  /** If the journal cannot be read, its activities are broadcast later. */
  private get hasReadFaults(): boolean {
    return this.parts.faults.struck.some(({ point }) => point === "read")
  }

  // ---- transactions

  private transaction(step: Program.Transaction, parent: Transaction | undefined): Effect.Effect<void> {
    const { faults, history } = this.parts
    return this.whenOpen(step.node, ({ sql }, node) => {
      if (sql === undefined) return Effect.void
      const transaction: Transaction = {
        name: `t${history.transactions.length}`,
        parent,
        outcome: "pending",
        isUncertain: false
      }
      history.transactions.push(transaction)
      const steps = Effect.forEach(step.steps, (inner) => this.step(inner, transaction), {
        discard: true,
        concurrency: step.concurrent ? "unbounded" : 1
      })
      const work = Effect.zipRight(steps, step.fails ? Effect.fail(new Planned()) : Effect.void)
      const settled = Effect.onExit(sql.withTransaction(work), (exit) =>
        Effect.sync(() => {
          transaction.outcome = outcomeOf(exit, (error) => !(error instanceof Planned))
          transaction.isUncertain = faults.hasMisreported
          // If its own work failed, that was planned.
          if (transaction.outcome !== "refused") this.checkFailure(`transaction ${transaction.name}`, exit)
          if (Exit.isSuccess(exit) && step.fails) history.report(`${transaction.name} succeeded, but its work failed`)
        }))
      const ended = Effect.sync(() => {
        if (transaction.outcome === "pending") transaction.outcome = "interrupted"
      })
      return Effect.zipRight(
        parent === undefined
          ? Effect.flatMap(node.fork(this.stoppable(step, node, settled, false)), Fiber.await)
          : this.stoppable(step, node, settled, true),
        ended
      )
    })
  }

  private note(index: number, text: string, transaction: Transaction | undefined): Effect.Effect<void> {
    const { faults, history } = this.parts
    return this.whenOpen(index, ({ sql }, node) => {
      if (sql === undefined) return Effect.void
      const note: Note = { text, transaction, outcome: "pending", isUncertain: false }
      history.notes.push(note)
      const written = Effect.onExit(sql`INSERT INTO sim_note (text) VALUES (${text})`, (exit) =>
        Effect.sync(() => {
          note.outcome = outcomeOf(exit, () => true)
          note.isUncertain = faults.hasMisreported
          this.checkFailure(text, exit)
        }))
      return transaction === undefined
        ? Effect.flatMap(node.fork(Effect.exit(written)), Fiber.await)
        : Effect.exit(written)
    })
  }
}

const outcomeOf = (
  exit: Exit.Exit<unknown, unknown>,
  isStorage: (error: unknown) => boolean
): Exclude<Outcome, "pending"> => {
  if (Exit.isSuccess(exit)) return "acknowledged"
  if (Cause.isDie(exit.cause)) return "died"
  const failure = Cause.failureOption(exit.cause)
  if (Option.isSome(failure)) return isStorage(failure.value) ? "failed" : "refused"
  return "interrupted"
}
