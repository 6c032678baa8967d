/**
 * Leader/follower group commit: queued submissions are committed in FIFO batches, and batches never overlap.
 *
 * The first caller leads: it yields, so that others can join its batch, and commits. Later submissions are committed by
 * the writer, a fiber of the scope, so that no caller works for others for long. The writer could lead every batch, but
 * passing a lone command to it and back costs an eighth of the command's time.
 *
 *     idle ──▶ callerLeads ──▶ idle            nothing is queued
 *      │           └─────────▶ writerLeads     submissions are queued
 *      └─────────────────────▶ writerLeads ──▶ idle
 *     any ──▶ closing ──▶ closed               closing: until the caller that leads has committed
 *
 * Interruption: a caller that is interrupted withdraws its submission, or waits for the outcome if the submission is
 * decided. A leader that is interrupted before it has decided anything passes its batch on.
 * Shutdown: decided submissions are committed before the scope closes; queued ones are interrupted.
 */
import { isTraced } from "@caravel/domain/adapter"
import { Background } from "@caravel/pubsub"
import { Cause, Effect, Exit, type Fiber, FiberId, Function, type Scope } from "effect"
import * as EventLoop from "../statement/EventLoop.js"
import type { Restore } from "../statement/Mutex.js"
import { Entry } from "./Entry.js"

/** A queue of submissions. It has no bound of its own: a caller whose submission is queued waits. */
export interface GroupCommit<S, A, E> {
  /** How many submissions are queued. */
  readonly waiting: () => number
  /** Waits for the outcome of a submission. */
  readonly execute: (submission: S) => Effect.Effect<A, E>
}

/** How a queue commits. */
export interface Options<S, A, E> {
  /**
   * Commits a batch and settles its entries, some of which may be withdrawn until they are decided. It runs
   * uninterruptibly; it may wait interruptibly, by `restore`, as long as nothing is decided.
   */
  readonly commit: (batch: ReadonlyArray<Entry<S, A, E>>, restore: Restore) => Effect.Effect<void>
  /** The fraction of a full batch that a submission takes. A submission that takes more than 1 is committed alone. */
  readonly weigh: (submission: S) => number
  /** False if `commit` waits for a server before it decides: a caller that leads could not be interrupted then. */
  readonly canCallersLead: boolean
}

type State = "idle" | "callerLeads" | "writerLeads" | "closing" | "closed"

/** A queue whose writer belongs to the scope. */
export const make = <S, A, E>(
  options: Options<S, A, E>
): Effect.Effect<GroupCommit<S, A, E>, never, Scope.Scope> =>
  Effect.gen(function*() {
    const owner = yield* Effect.withFiberRuntime<RunningFiber>((fiber) => Effect.succeed(fiber))
    const queue = new Queue(options, owner, yield* EventLoop.make)
    yield* Effect.addFinalizer(() => queue.close())
    yield* Background.run("The writer of commands", queue.writer)
    return queue
  })

type RunningFiber = Fiber.RuntimeFiber<unknown, unknown>

class Queue<S, A, E> implements GroupCommit<S, A, E> {
  private readonly options: Options<S, A, E>
  private readonly canCallerLead: (caller: RunningFiber) => boolean
  private readonly yieldToEventLoop: Effect.Effect<void>
  /** An entry leaves this set when it is taken, withdrawn, or interrupted by the end of the scope. */
  private readonly queued = new Set<Entry<S, A, E>>()
  private state: State = "idle"
  private readonly awaiting = new Map<State, () => void>()

  constructor(options: Options<S, A, E>, owner: RunningFiber, yieldToEventLoop: Effect.Effect<void>) {
    this.options = options
    this.canCallerLead = options.canCallersLead ? canLeadFor(owner) : Function.constFalse
    this.yieldToEventLoop = yieldToEventLoop
  }

  readonly waiting = () => this.queued.size

  readonly execute = (submission: S): Effect.Effect<A, E> =>
    Effect.uninterruptibleMask((restore) =>
      Effect.withFiberRuntime((caller) => {
        if (this.isClosed) return interrupted
        const entry = new Entry<S, A, E>(submission, caller.currentSpan)
        this.queued.add(entry)
        if (this.state === "idle") {
          if (this.canCallerLead(caller)) return this.lead(entry, restore)
          this.become("writerLeads")
        }
        return this.follow(entry, restore)
      })
    )

  /** Commits what is queued whenever the writer leads. */
  get writer(): Effect.Effect<never> {
    const commitQueued = Effect.whileLoop({
      // The state changes in the step that checks the queue, so that the next caller leads.
      while: () => {
        if (this.queued.size === 0) this.become("idle")
        return this.queued.size > 0
      },
      body: () =>
        Effect.zipRight(this.yieldToEventLoop, Effect.uninterruptibleMask((restore) => this.commitNext(restore))),
      step: () => {}
    })
    return Effect.forever(Effect.zipRight(this.reached("writerLeads"), commitQueued))
  }

  /** Interrupts what is queued, and waits until the caller that leads has committed. */
  close(): Effect.Effect<void> {
    this.become(this.state === "callerLeads" ? "closing" : "closed")
    for (const entry of this.queued) entry.settle(interrupted)
    this.queued.clear()
    return this.reached("closed")
  }

  private lead(entry: Entry<S, A, E>, restore: Restore): Effect.Effect<A, E> {
    this.become("callerLeads")
    return Effect.matchCauseEffect(
      Effect.flatMap(restore(this.yieldToEventLoop), () => this.commitNext(restore)),
      {
        onFailure: (cause) => {
          this.queued.delete(entry)
          this.passLeadership()
          return Effect.failCause(cause)
        },
        onSuccess: () => {
          this.passLeadership()
          return entry.outcome
        }
      }
    )
  }

  private passLeadership(): void {
    if (this.state === "closing") this.become("closed")
    else this.become(this.queued.size > 0 ? "writerLeads" : "idle")
  }

  private follow(entry: Entry<S, A, E>, restore: Restore): Effect.Effect<A, E> {
    return Effect.onInterrupt(restore(entry.outcome), () => {
      if (!entry.withdraw()) return Effect.exit(entry.outcome)
      this.queued.delete(entry)
      return Effect.void
    })
  }

  private commitNext(restore: Restore): Effect.Effect<void> {
    const batch = takeBatch(this.queued, this.options.weigh)
    if (batch.length === 0) return Effect.void
    return Effect.matchCauseEffect(this.options.commit(batch, restore), {
      onFailure: (cause) => {
        if (Cause.isInterruptedOnly(cause)) {
          this.putBack(batch)
          return Effect.failCause(cause)
        }
        for (const entry of batch) entry.settle(Exit.failCause(cause))
        return Effect.void
      },
      onSuccess: () => Effect.void
    })
  }

  private putBack(batch: ReadonlyArray<Entry<S, A, E>>): void {
    const later = [...this.queued]
    this.queued.clear()
    for (const entry of batch) {
      if (this.isClosed) entry.settle(interrupted)
      else if (entry.isOpen) this.queued.add(entry)
    }
    for (const entry of later) this.queued.add(entry)
  }

  private get isClosed(): boolean {
    return this.state === "closing" || this.state === "closed"
  }

  private become(next: State): void {
    this.state = next
    this.awaiting.get(next)?.()
  }

  /** Waits for a state. At most one fiber may wait for each state. */
  private reached(awaited: State): Effect.Effect<void> {
    return Effect.async<void>((resume) => {
      if (this.state === awaited) resume(Effect.void)
      else this.awaiting.set(awaited, () => resume(Effect.void))
      return Effect.sync(() => this.awaiting.delete(awaited))
    })
  }
}

/**
 * Whether a caller may lead. It also commits others' submissions, so it must have the clock and scheduler of the
 * writer's owner, and these submissions must not be in its span.
 */
const canLeadFor = (owner: RunningFiber) => {
  const { currentDefaultServices, currentScheduler } = owner
  const isOwnerTraced = isTraced(owner)
  return (caller: RunningFiber) =>
    !isOwnerTraced && caller.currentDefaultServices === currentDefaultServices &&
    caller.currentScheduler === currentScheduler
}

const interrupted = Exit.interrupt(FiberId.none)

/** Takes queued submissions, from the first on, until the batch is full. */
const takeBatch = <S, A, E>(
  waiting: Set<Entry<S, A, E>>,
  weigh: (submission: S) => number
): ReadonlyArray<Entry<S, A, E>> => {
  const batch: Array<Entry<S, A, E>> = []
  let weight = 0
  for (const entry of waiting) {
    weight += weigh(entry.submission)
    if (batch.length > 0 && weight > 1) break
    waiting.delete(entry)
    batch.push(entry)
  }
  return batch
}
