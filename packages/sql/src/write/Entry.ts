import type { IdempotencyConflict, RecordedEvent, Refusal, StorageError, Unit } from "@caravel/domain"
import { Effect, type Exit, type Tracer } from "effect"

type Failure = Refusal | IdempotencyConflict | StorageError
type Answer = Exit.Exit<ReadonlyArray<RecordedEvent>, Failure>

/** A caller's unit in the writer's queue, and its answer: a `Deferred` would cost 15 µs, a tenth of a whole command. */
export class Entry {
  readonly unit: Unit
  /** The caller's span, to be linked to that of its batch. */
  readonly span: Tracer.AnySpan | undefined
  /** When it came, by `performance.now()`. */
  readonly since = performance.now()
  private state: "open" | "withdrawn" | "decided" = "open"
  private answer: Answer | undefined
  private resume: ((answer: Answer) => void) | undefined

  constructor(unit: Unit, span: Tracer.AnySpan | undefined) {
    this.unit = unit
    this.span = span
  }

  link(batch: Tracer.AnySpan): void {
    if (this.span?._tag !== "Span") return
    try {
      this.span.addLinks([{ _tag: "SpanLink", span: batch, attributes: {} }])
    } catch {
      // A caller's own tracer is none of the others' concern.
    }
  }

  /** Whether it waits to be decided. */
  get isOpen(): boolean {
    return this.state === "open" && this.answer === undefined
  }

  /** Prevents that it is decided, if it is not yet, and returns whether that was so. */
  withdraw(): boolean {
    if (this.isOpen) this.state = "withdrawn"
    return this.state === "withdrawn"
  }

  /** From now on its caller waits for the answer; returns whether there is one, as it was not withdrawn. */
  decide(): boolean {
    if (this.state === "open") this.state = "decided"
    return this.state === "decided"
  }

  /** What was decided has not been committed, and may still be withdrawn. */
  reopen(): void {
    if (this.state === "decided") this.state = "open"
  }

  /** Only the first answer counts. */
  settle(answer: Answer): void {
    if (this.answer !== undefined) return
    this.answer = answer
    this.resume?.(answer)
  }

  /** The answer, once it is there. */
  get settled(): Effect.Effect<ReadonlyArray<RecordedEvent>, Failure> {
    return this.answer ?? Effect.async((resume) => {
      if (this.answer === undefined) this.resume = resume
      else resume(this.answer)
    })
  }
}
