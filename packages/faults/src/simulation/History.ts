/** What a simulation has seen: each call with its outcome, and what readers and consumers received. */
import type { Activity } from "@caravel/domain"
import type { CommandData, ConsumerData } from "./Program.js"

export type Outcome = "pending" | "acknowledged" | "refused" | "failed" | "interrupted" | "died"

/** Commands that were sent together, once. */
export interface Submission {
  /** The correlation id of its events. */
  readonly mark: string
  readonly node: number
  readonly commands: ReadonlyArray<CommandData>
  readonly expected: number | undefined
  readonly key: string | undefined
  readonly transaction: Transaction | undefined
  /** The head of the journal when it was sent, and when it was answered. */
  readonly sentAt: number
  answeredAt: number
  outcome: Outcome
  activities: ReadonlyArray<Activity | undefined>
  error: unknown
  /** How many of its events the journal had when it was answered. */
  present: number
  /** Whether a commit that was done had been reported as failed by then. */
  isUncertain: boolean
}

/** A caller's transaction, or one that is nested in another one. */
export interface Transaction {
  readonly name: string
  readonly parent: Transaction | undefined
  outcome: Outcome
  isUncertain: boolean
}

/** A write of the caller's own. */
export interface Note {
  readonly text: string
  readonly transaction: Transaction | undefined
  outcome: Outcome
  isUncertain: boolean
}

/** A reader of the activity log. */
export interface Reader {
  readonly name: string
  readonly node: number
  /** The position that it follows; undefined if it began live. */
  readonly since: number | undefined
  /** For a live reader, the head when it had subscribed. */
  subscribedAt: number | undefined
  readonly seen: Array<Activity>
  /** Whether it is to read until the end. */
  isOpen: boolean
}

/** What became of a consumer. */
export interface Consumer {
  readonly name: string
  readonly data: ConsumerData
  /** The position after which it starts. */
  from: number | undefined
  /** The positions whose handlers have succeeded, in order. */
  readonly handled: Array<Pick<Activity, "position" | "resourceType" | "resourceId">>
  readonly attempts: Map<number, number>
  /** How often it was run, and the run that has handled under each fence of its lease. */
  runs: number
  readonly fences: Map<number, number>
  resets: number
}

export class History {
  readonly submissions: Array<Submission> = []
  readonly transactions: Array<Transaction> = []
  readonly notes: Array<Note> = []
  readonly readers: Array<Reader> = []
  readonly consumers: Array<Consumer> = []
  /** Everything that was logged. */
  readonly logs: Array<string> = []
  /** What does not hold, as it was noticed. */
  readonly problems: Array<string> = []

  /** Whether the database is restored meanwhile: what is open ends then. */
  isRestored = false

  /** Notes a problem, once. */
  report(problem: string): void {
    if (!this.problems.includes(problem)) this.problems.push(problem)
  }
}
