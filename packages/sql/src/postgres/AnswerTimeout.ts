import type { Socket } from "node:net"
import { longestWait, slack } from "../statement/Patience.js"

/** The time without an answer, in milliseconds, after which the server is considered to hang or to be unreachable. */
const longest = longestWait + slack

/**
 * The same for a COMMIT of Caravel's own. It is shorter, because its outcome is then looked up on another connection
 * before the deadline.
 */
export const longestCommit = longestWait / 2

/** The time between two checks, in milliseconds. */
const interval = 1_000

/** Notices that a server does not answer: it hangs, or packets are lost without an error. */
export class AnswerTimeout {
  private readonly socket: () => Socket
  private readonly onTimeout: (since: number) => void
  /** The deadline of the first answer, by `performance.now()`. */
  private answerBy = Infinity
  private owed = 0
  /** When the server began to owe answers or last answered, and how many bytes had been received by then. */
  private since = 0
  private bytesRead = 0
  private longest = longest
  private timer: NodeJS.Timeout | undefined

  constructor(socket: () => Socket, onTimeout: (since: number) => void) {
    this.socket = socket
    this.onTimeout = onTimeout
  }

  /** Sets the deadline of the first answer, in milliseconds from now. */
  within(remaining: number): void {
    this.answerBy = performance.now() + Math.max(0, remaining) + slack
  }

  /** Adds answers that the server owes from now on, each within `within` milliseconds after the one before it. */
  expect(answers: number, within = longest): void {
    if (this.owed === 0) {
      this.since = performance.now()
      this.bytesRead = this.socket().bytesRead
      this.longest = within
    }
    this.owed += answers
    this.start()
  }

  answered(): void {
    this.owed--
    this.answerBy = Infinity
    this.since = performance.now()
  }

  stop(): void {
    clearTimeout(this.timer)
    this.owed = 0
  }

  private get deadline(): number {
    return Math.min(this.answerBy, this.since + this.longest)
  }

  /**
   * Starts the timer unless it is running. One timer serves many statements: answers do not reset it, and it ends once
   * no answer is owed.
   */
  private start(): void {
    if (this.timer !== undefined) return
    // @effect-diagnostics-next-line globalTimers:off
    this.timer = setTimeout(() => {
      // Data that arrived while this process was stopped is read first.
      setImmediate(() => {
        this.timer = undefined
        if (this.owed > 0) this.check()
      })
    }, Math.max(0, Math.min(interval, this.deadline - performance.now())))
    this.timer.unref()
  }

  private check(): void {
    const now = performance.now()
    const { bytesRead } = this.socket()
    if (bytesRead > this.bytesRead && this.answerBy === Infinity) {
      // Data has arrived: the server is sending a long answer.
      this.bytesRead = bytesRead
      this.since = now
    }
    if (now < this.deadline) this.start()
    else this.onTimeout(this.since)
  }
}
