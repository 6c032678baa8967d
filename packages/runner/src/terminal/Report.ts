/** How errors are told. */
import { withoutSecrets } from "@caravel/domain/adapter"
import { Effect } from "effect"
import * as Layout from "./Layout.js"
import { Output } from "./Output.js"

/**
 * Writes an error as one line to standard error, without secrets.
 *
 * @since 0.1.0
 * @category errors
 */
export const report = (message: string): Effect.Effect<void, never, Output> =>
  Effect.flatMap(
    Output,
    ({ errorStyle, note }) => note(`${errorStyle.red("caravel:")} ${Layout.oneLine(withoutSecrets(message))}`)
  )
