import type { Effect, Scope } from "effect"
import type { Synchronous } from "./Case.js"
import type { Session } from "./Load.js"

/** The database to open. */
export interface OpenOptions {
  /** A copy of a template, with Caravel's schema. */
  readonly filename: string
  readonly synchronous: Synchronous
  /** The number of relays in the database. */
  readonly relays: number
}

/**
 * A subject executes commands. It loads the rows that they touch, refuses what Caravel refuses, appends an event and
 * updates the projection in one transaction, and notifies a subscriber in the process.
 */
export interface Subject<Options = OpenOptions> {
  /** The description in the report. */
  readonly description: string
  readonly open: (options: Options) => Effect.Effect<Session, never, Scope.Scope>
  /** Whatever the number of callers, the subject executes one command or one batch at a time. */
  readonly blocking?: true
  /** The subject has no file. Of the options, it uses only `relays`. */
  readonly volatile?: true
}
