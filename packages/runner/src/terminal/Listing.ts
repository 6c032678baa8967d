/** Lists of results: a table on a terminal, and JSON lines elsewhere. */
import { Effect } from "effect"
import { Output } from "./Output.js"

/** Prints all of them. On a terminal, `none` is what an empty list says. */
export const show = Effect.fnUntraced(function*<A>(all: ReadonlyArray<A>, options: {
  readonly none: string
  readonly toJson: (one: A) => unknown
  readonly toTable: (all: ReadonlyArray<A>, output: typeof Output.Service) => ReadonlyArray<string>
}) {
  const output = yield* Output
  if (!output.isTerminal) {
    return yield* Effect.forEach(all, (one) => output.print(JSON.stringify(options.toJson(one))), {
      discard: true
    })
  }
  if (all.length === 0) return yield* output.note(options.none)
  yield* Effect.forEach(options.toTable(all, output), output.print, { discard: true })
})
