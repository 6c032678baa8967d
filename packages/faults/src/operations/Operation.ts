/** Something that writes to files, and must survive being interrupted at any instant. */
import { Data, Effect, type Scope } from "effect"

/** Something does not hold after an interruption. */
export class Violation extends Data.TaggedError("Violation")<{ readonly message: string }> {}

/** An operation, or its check, has failed. */
class OperationFailed extends Data.TaggedError("OperationFailed")<{ readonly cause: unknown }> {
  override get message() {
    return String(this.cause)
  }
}

type Step = Effect.Effect<unknown, OperationFailed>

/** An operation on the files in a directory. */
export interface Operation {
  readonly title: string
  /** Writes the files that the operation starts from. */
  readonly prepare: (directory: string) => Step
  /** The operation itself, in a process of its own. It acknowledges what it has done, one line at a time. */
  readonly run: (directory: string, acknowledge: (line: string) => Effect.Effect<void>) => Step
  /** Checks the files that an interruption has left. Fails if something does not hold. */
  readonly check: (directory: string, acknowledged: ReadonlyArray<string>) => Step
}

/** Makes an operation of steps with errors of their own. */
export const make = <A, B, C>(operation: {
  readonly title: string
  readonly prepare: (directory: string) => Effect.Effect<unknown, A, Scope.Scope>
  readonly run: (
    directory: string,
    acknowledge: (line: string) => Effect.Effect<void>
  ) => Effect.Effect<unknown, B, Scope.Scope>
  readonly check: (directory: string, acknowledged: ReadonlyArray<string>) => Effect.Effect<unknown, C, Scope.Scope>
}): Operation => {
  const step = <E>(effect: Effect.Effect<unknown, E, Scope.Scope>): Step =>
    Effect.mapError(Effect.scoped(effect), (cause) => new OperationFailed({ cause }))
  return {
    title: operation.title,
    prepare: (directory) => step(operation.prepare(directory)),
    run: (directory, acknowledge) => step(operation.run(directory, acknowledge)),
    check: (directory, acknowledged) => step(operation.check(directory, acknowledged))
  }
}

/** The file of acknowledgements in the directory of an operation. */
export const acknowledgements = "acknowledged"

/** The lines of a file of acknowledgements. The last one is omitted if it was cut off. */
export const linesOf = (text: string): ReadonlyArray<string> => text.split("\n").slice(0, -1)
