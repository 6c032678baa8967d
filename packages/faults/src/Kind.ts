/** A kind of fault that is looked for. */
import type { Effect, Scope } from "effect"

/** The settings of a run. */
export interface Settings {
  /** Whether this is the long run. The short one is part of `.ci/run`. */
  readonly long: boolean
  /** Where the run begins: the same seed tries the same faults. */
  readonly seed: number
  /** An empty directory for the kind's files, which is removed after it. */
  readonly directory: string
  /** Tells the user how far the run has come. */
  readonly progress: (line: string) => Effect.Effect<void>
}

/** Something that does not hold. */
export interface Finding {
  /** What does not hold, in a sentence. */
  readonly title: string
  /** How to repeat it: a command, or a script that fails by itself, and what was seen. */
  readonly details: string
}

/** What a run of one kind tried and found. */
export interface Outcome {
  /** How often each thing was tried, such as `{ seeds: 2000, commands: 81_234 }`. */
  readonly tried: { readonly [what: string]: number }
  readonly findings: ReadonlyArray<Finding>
}

/** The failure of a search, such as of a program that cannot be started. Faults are findings. */
export interface Failure {
  readonly message: string
}

/** A kind of fault. */
export interface Kind {
  readonly title: string
  readonly description: string
  /** Why this kind cannot be looked for here, if so. */
  readonly skipped?: string | undefined
  readonly run: (settings: Settings) => Effect.Effect<Outcome, Failure, Scope.Scope>
}
