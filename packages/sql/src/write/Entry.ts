import { Effect, type Exit, type Tracer } from "effect"

/** A submission in the writer's queue, and its outcome. A `Deferred` would cost a tenth of a lone command. */
export class Entry<S, A, E> {
  readonly submission: S
  /** The caller's span, which is linked to that of its batch. */
  readonly span: Tracer.AnySpan | undefined
  /** When it was queued, by `performance.now()`. */
  readonly since = performance.now()
  private state: "open" | "withdrawn" | "decided" = "open"
  private exit: Exit.Exit<A, E> | undefined
  private resume: ((exit: Exit.Exit<A, E>) => void) | undefined

  constructor(submission: S, span: Tracer.AnySpan | undefined) {
    this.submission = submission
    this.span = span
  }

  link(batch: Tracer.AnySpan): void {
    if (this.span?._tag !== "Span") return
    try {
      this.span.addLinks([{ _tag: "SpanLink", span: batch, attributes: {} }])
    } catch {
      // The other submissions of the batch do not depend on this caller's tracer.
    }
  }

  /** Whether it is neither decided nor withdrawn. */
  get isOpen(): boolean {
    return this.state === "open" && this.exit === undefined
  }

  /** Withdraws it if it is open, and returns whether it is withdrawn. */
  withdraw(): boolean {
    if (this.isOpen) this.state = "withdrawn"
    return this.state === "withdrawn"
  }

  /**
   * Decides it unless it is withdrawn, and returns whether it is decided: from now on its caller waits for the outcome.
   */
  decide(): boolean {
    if (this.state === "open") this.state = "decided"
    return this.state === "decided"
  }

  /** Reopens it, because what was decided was not committed. */
  reopen(): void {
    if (this.state === "decided") this.state = "open"
  }

  /** Sets the outcome, once. */
  settle(exit: Exit.Exit<A, E>): void {
    if (this.exit !== undefined) return
    this.exit = exit
    this.resume?.(exit)
  }

  /** Waits for the outcome. */
  get outcome(): Effect.Effect<A, E> {
    return this.exit ?? Effect.async((resume) => {
      if (this.exit === undefined) this.resume = resume
      else resume(this.exit)
    })
  }
}
