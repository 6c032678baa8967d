import { type Drift, Position } from "@caravel/domain"
import { misplacedEvents, missingEvents } from "@caravel/domain/adapter"

/** Finds positions up to the head that have no event, and events at other positions. Positions are added in order. */
export class PositionCheck {
  private readonly head: Position
  private readonly report: (drift: Drift) => void
  private previous = 0
  private ahead: { readonly first: Position; last: Position } | undefined

  constructor(head: Position, report: (drift: Drift) => void) {
    this.head = head
    this.report = report
  }

  add(position: Position): void {
    if (position < 1) this.report(misplacedEvents(position, position, this.head))
    else if (position > this.head) {
      this.ahead ??= { first: position, last: position }
      this.ahead.last = position
    } else {
      this.skipTo(position)
      this.previous = position
    }
  }

  end(): void {
    this.skipTo(this.head + 1)
    if (this.ahead !== undefined) this.report(misplacedEvents(this.ahead.first, this.ahead.last, this.head))
  }

  private skipTo(next: number): void {
    const { previous } = this
    if (next > previous + 1) this.report(missingEvents(Position.make(previous + 1), Position.make(next - 1)))
  }
}
