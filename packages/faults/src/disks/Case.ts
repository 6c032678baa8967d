/** A damaged disk, and what is done on it. */
import { Cause, Data, Effect, Exit, Option } from "effect"
import type { PCGRandom } from "effect/Utils"
import { Violation } from "../operations/Operation.js"

/** What cases share. */
export interface Context {
  /** An empty directory for the case. */
  readonly directory: string
  /** The control file of the library. */
  readonly control: string
  readonly random: PCGRandom
  /** Counts something that happened in the case, for the report. */
  readonly count: (what: string) => void
}

/** A case. It fails if something does not hold. */
export interface Case {
  readonly group: string
  readonly name: string
  readonly run: (context: Context) => Effect.Effect<unknown, CaseFailed>
}

/** Something does not hold, or a step that must work has failed. */
export class CaseFailed extends Data.TaggedError("CaseFailed")<{ readonly cause: unknown }> {
  override get message() {
    return String(this.cause)
  }
}

export const fail = (message: string) => new CaseFailed({ cause: message })

/** How long an operation may take, in real time. */
const patience = "20 seconds"

/**
 * The result of an operation on a disk that may fail it: a failure if it failed with a typed error. Fails if the
 * operation died or does not end, or if something in it does not hold.
 */
export const attempt = <A, E extends { readonly _tag: string; readonly message: string }, R>(
  name: string,
  effect: Effect.Effect<A, E, R>
): Effect.Effect<Exit.Exit<A, E>, CaseFailed, R> =>
  // What cannot be interrupted is not waited for either.
  Effect.exit(Effect.timeoutTo(Effect.disconnect(effect), {
    duration: patience,
    onSuccess: Exit.succeed,
    onTimeout: () => Exit.die(`${name} has not ended after ${patience}`)
  })).pipe(Effect.flatMap((exit) => {
    const flat = Exit.flatten(exit)
    const error = Option.getOrUndefined(Exit.isFailure(flat) ? Cause.failureOption(flat.cause) : Option.none())
    if (error instanceof CaseFailed) return error
    return Exit.isFailure(flat) && (error === undefined || error instanceof Violation)
      ? fail(`${name}: ${Cause.pretty(flat.cause)}`)
      : Effect.succeed(flat)
  }))
