/** Timers in the order in which they come due: a binary heap. */

/** A timer, and the process that has set it. */
export interface Timer<Process> {
  readonly at: number
  /** Timers of the same instant come due in the order in which they were set. */
  readonly order: number
  readonly run: () => void
  readonly process: Process | undefined
  cancelled: boolean
}

export class Timers<Process> {
  private readonly heap: Array<Timer<Process>> = []
  private count = 0

  add(options: Pick<Timer<Process>, "at" | "run" | "process">): Timer<Process> {
    const timer = { ...options, order: this.count++, cancelled: false }
    this.heap.push(timer)
    for (let index = this.heap.length - 1; index > 0;) {
      const parent = (index - 1) >>> 1
      if (!this.isBefore(index, parent)) break
      this.swap(index, parent)
      index = parent
    }
    return timer
  }

  /** The next timer that is not cancelled. */
  get first(): Timer<Process> | undefined {
    while (this.heap[0]?.cancelled === true) this.removeFirst()
    return this.heap[0]
  }

  removeFirst(): void {
    const last = this.heap.pop()!
    if (this.heap.length === 0) return
    this.heap[0] = last
    for (let index = 0;;) {
      const left = 2 * index + 1
      let least = index
      for (const child of [left, left + 1]) if (child < this.heap.length && this.isBefore(child, least)) least = child
      if (least === index) return
      this.swap(index, least)
      index = least
    }
  }

  private isBefore(index: number, other: number): boolean {
    const one = this.heap[index]!
    const two = this.heap[other]!
    return one.at < two.at || (one.at === two.at && one.order < two.order)
  }

  private swap(index: number, other: number): void {
    const timer = this.heap[index]!
    this.heap[index] = this.heap[other]!
    this.heap[other] = timer
  }
}
