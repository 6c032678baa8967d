import type { Effect, Scope } from "effect"
import type { Synchronous } from "./Case.js"
import type { Session } from "./Load.js"

/** Which database to open. */
export interface OpenOptions {
  /** A copy of a template: it has Caravel's schema. */
  readonly filename: string
  readonly synchronous: Synchronous
  /** How many relays it has. */
  readonly relays: number
}

/**
 * Something that executes commands: it loads what they touch, refuses what Caravel refuses, appends an event and updates
 * the projection in one transaction, and tells a subscriber in the process.
 */
export interface Subject<Options = OpenOptions> {
  /** What it is, for the report. */
  readonly description: string
  readonly open: (options: Options) => Effect.Effect<Session, never, Scope.Scope>
  /** It executes whatever the number of callers one command, or one batch, at a time. */
  readonly blocking?: true
  /** It has no file: of the options, only `relays` counts. */
  readonly volatile?: true
}
