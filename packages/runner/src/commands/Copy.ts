/** `caravel copy`: moving to another database. */
import type { StorageError } from "@caravel/domain"
import { Copy } from "@caravel/sql"
import { Effect, type Option } from "effect"
import { optionsOf, writable } from "../cli/Arguments.js"
import { type DatabaseName, inSchema } from "../cli/DatabaseName.js"
import { Failed, Output, type OutputClosed } from "../terminal/Output.js"
import { counted } from "../terminal/ProgressBar.js"
import * as Steps from "../terminal/Steps.js"

/**
 * Copies, and prints what was new, which is nothing once the copy is complete.
 *
 * @since 0.1.0
 * @category commands
 */
export const copy = Effect.fn("Copy.copy")(
  function*({ json, schema, ...named }: {
    readonly from: DatabaseName
    readonly to: DatabaseName
    readonly schema: Option.Option<string>
    readonly json: boolean
  }): Effect.fn.Return<void, Failed | OutputClosed | StorageError, Output> {
    const output = yield* Output
    const [from, to] = [inSchema(named.from, schema), inSchema(named.to, schema)]
    yield* writable(to)
    const result = yield* Steps.shown((onStep) => Copy.copy({ from: optionsOf(from), to: optionsOf(to), onStep })).pipe(
      Effect.catchTag("NotACopy", ({ message }) => new Failed({ message })),
      Effect.onInterrupt(() =>
        output.isErrorTerminal
          ? output.note("Interrupted; run the same command again to continue from here")
          : Effect.void
      )
    )
    if (!output.isTerminal || json) return yield* output.print(JSON.stringify({ ok: true, ...result }))
    const { copied, position, relays, tenants } = result
    yield* output.print(output.style.green(
      `Copied ${counted(copied, "event")}, and verified: ${counted(position, "event")}, ${
        counted(tenants, "tenant")
      }, ${counted(relays, "relay")}`
    ))
    yield* output.print(output.style.dim(
      copied === 0
        ? "If nothing has been written to the source meanwhile, you can switch to the target"
        : "To switch: stop the programs that write to the source, copy once more, and start them on the target"
    ))
  }
)
