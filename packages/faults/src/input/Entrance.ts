/** A place where input enters, and the search for input that it does not answer as it should. */
import { Cause, Effect, Exit, FastCheck as fc, Runtime, type Scope } from "effect"
import { inspect } from "node:util"
import type { Failure, Outcome, Settings } from "../Kind.js"

/** How many inputs were accepted, of one or of those that an input consists of; `wrong` says what does not hold. */
export type Answer = number | { readonly wrong: string }

/** An entrance that is open: the inputs to try, and what becomes of one. */
export interface Open<Input> {
  readonly inputs: fc.Arbitrary<Input>
  readonly answer: (input: Input) => Effect.Effect<Answer>
}

/** A place where input enters. */
export interface Entrance {
  readonly name: string
  /** How many inputs a short and a long run try. */
  readonly counts: { readonly short: number; readonly long: number }
  /** Opens the entrance in a directory. */
  readonly search: (settings: Settings, count: number) => Effect.Effect<Outcome, Failure, Scope.Scope>
}

/** Declares an entrance. An input may have parts that count as inputs of their own. */
export const make = <Input>(declared: {
  readonly name: string
  readonly counts: Entrance["counts"]
  readonly open: (directory: string) => Effect.Effect<Open<Input>, Failure, Scope.Scope>
  /** How many inputs one value of `inputs` has; one by default. */
  readonly parts?: number
}): Entrance => {
  const { name, open, parts = 1 } = declared
  return {
    name,
    counts: declared.counts,
    search: ({ directory, seed }, count) =>
      Effect.gen(function*() {
        const { answer, inputs } = yield* open(directory)
        const run = Runtime.runPromise(yield* Effect.runtime())
        let tried = 0
        let accepted = 0
        const property = fc.asyncProperty(inputs, async (input) => {
          const exit = await run(Effect.exit(answer(input)))
          tried += parts
          if (Exit.isFailure(exit)) throw new Error(`a defect: ${Cause.pretty(exit.cause)}`)
          if (typeof exit.value !== "number") throw new Error(exit.value.wrong)
          accepted += exit.value
        })
        const details = yield* Effect.promise(() =>
          fc.check(property, { seed, numRuns: Math.ceil(count / parts), endOnFailure: true })
        )
        return {
          tried: { [name]: tried, [`accepted ${name}`]: accepted },
          findings: details.failed
            ? [{ title: `${name}: an input is not answered as it should`, details: told(details) }]
            : []
        }
      })
  }
}

const told = <Input>({ counterexample, counterexamplePath, errorInstance, seed }: fc.RunDetails<[Input]>) =>
  [
    `seed ${seed}, path ${counterexamplePath}`,
    inspect(counterexample?.[0], { depth: 8, maxStringLength: 2000, maxArrayLength: 300 }),
    errorInstance instanceof Error ? errorInstance.message : String(errorInstance)
  ].join("\n")
