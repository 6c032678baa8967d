/** The progress of a task with several steps, as a line that replaces itself. */
import { Effect } from "effect"
import { Output } from "./Output.js"
import { bar } from "./ProgressBar.js"

/** How often the bar is drawn. */
const interval = "100 millis"

/**
 * The progress as a line.
 *
 * @since 0.1.0
 * @category text
 */
export const stepLine = (step: string, done: number, total: number): string =>
  total === 0 ? `${step}…` : `${bar(done / total)}  ${step}`

/**
 * Runs an effect, and shows the progress that it reports on standard error, if that is a terminal.
 *
 * @since 0.1.0
 * @category combinators
 */
export const shown = <A, E>(
  use: (onStep: (...step: Parameters<typeof stepLine>) => void) => Effect.Effect<A, E>
): Effect.Effect<A, E, Output> =>
  Effect.scoped(Effect.gen(function*() {
    const output = yield* Output
    let line = ""
    if (output.isErrorTerminal) {
      yield* Effect.addFinalizer(() => output.status(""))
      const draw = Effect.suspend(() => output.status(output.errorStyle.dim(line)))
      yield* Effect.forkScoped(Effect.forever(Effect.zipRight(Effect.sleep(interval), draw)))
    }
    return yield* use((...step) => {
      line = stepLine(...step)
    })
  }))
