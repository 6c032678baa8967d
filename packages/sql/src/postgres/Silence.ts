import type { Socket } from "node:net"
import { longestWait, slack } from "../statement/Patience.js"

/** After so long without an answer, in milliseconds, the server is taken for one that hangs or cannot be reached. */
const longest = longestWait + slack

/** The same for a COMMIT: whether it succeeded is looked up on another connection, in the time that is left until the deadline. */
const longestCommit = longestWait / 2

/** How often to look, in milliseconds. */
const interval = 1_000

/** Notices that a server owes answers and is silent: it hangs, or packets get lost without anybody being told. */
export class Silence {
  private readonly socket: () => Socket
  private readonly onSilence: (since: number) => void
  /** When the first answer must have come, by `performance.now()`. */
  private answerBy = Infinity
  private owed = 0
  /** Since when it has owed answers, or has not given any, and how many bytes had come by then. */
  private since = 0
  private bytesRead = 0
  private longest = longest
  private timer: NodeJS.Timeout | undefined

  constructor(socket: () => Socket, onSilence: (since: number) => void) {
    this.socket = socket
    this.onSilence = onSilence
  }

  /** The first answer must come within this many milliseconds. */
  within(remaining: number): void {
    this.answerBy = performance.now() + Math.max(0, remaining) + slack
  }

  /** From now on it owes this many more answers. */
  expect(answers: number, endsInCommit: boolean): void {
    if (this.owed === 0) {
      this.since = performance.now()
      this.bytesRead = this.socket().bytesRead
      this.longest = endsInCommit ? longestCommit : longest
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

  /** One timer for many statements: answers leave it as it is, and it ends by itself. */
  private start(): void {
    if (this.timer !== undefined) return
    // @effect-diagnostics-next-line globalTimers:off
    this.timer = setTimeout(() => {
      // What has come while this process stood still is read first.
      setImmediate(() => {
        this.timer = undefined
        if (this.owed > 0) this.look()
      })
    }, Math.max(0, Math.min(interval, this.deadline - performance.now())))
    this.timer.unref()
  }

  private look(): void {
    const now = performance.now()
    const { bytesRead } = this.socket()
    if (bytesRead > this.bytesRead && this.answerBy === Infinity) {
      // An answer that takes long is none that does not come.
      this.bytesRead = bytesRead
      this.since = now
    }
    if (now < this.deadline) this.start()
    else this.onSilence(this.since)
  }
}
