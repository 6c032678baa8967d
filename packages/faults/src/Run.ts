/** Looks for one kind of fault after another. */
import { Cause, Clock, Effect, Exit, Logger, LogLevel } from "effect"
import * as fs from "node:fs/promises"
import { join } from "node:path"
import type { Kind } from "./Kind.js"
import type { Part } from "./Report.js"

/** The options of a run. */
export interface Options {
  readonly kinds: { readonly [name: string]: Kind }
  readonly long: boolean
  readonly seed: number
  readonly directory: string
  readonly progress: (line: string) => Effect.Effect<void>
}

/** Runs each kind in a directory of its own. A kind that fails itself is a finding, and the next one runs. */
export const run = ({ directory, kinds, long, progress, seed }: Options): Effect.Effect<ReadonlyArray<Part>> =>
  Effect.forEach(Object.entries(kinds), ([name, kind]) =>
    Effect.gen(function*() {
      const nothing = { kind: name, seconds: 0, tried: {}, findings: [] }
      if (kind.skipped !== undefined) {
        yield* progress(`${name}: skipped: ${kind.skipped}`)
        return { ...nothing, skipped: kind.skipped }
      }
      yield* progress(`${name}: ${kind.title}`)
      const start = yield* Clock.currentTimeMillis
      const outcome = yield* Effect.flatMap(
        scratch(join(directory, `caravel-faults-${name}-`)),
        (directory) => kind.run({ long, seed, directory, progress: (line) => progress(`${name}: ${line}`) })
      ).pipe(
        Effect.scoped,
        // Services log the failures that they are given. The report is not the place for them.
        Logger.withMinimumLogLevel(LogLevel.None),
        Effect.exit,
        Effect.flatMap(Exit.match({
          onSuccess: Effect.succeed,
          onFailure: (cause) =>
            Cause.isInterruptedOnly(cause)
              ? Effect.interrupt
              : Effect.succeed({ tried: {}, findings: [{ title: "it ended early", details: Cause.pretty(cause) }] })
        }))
      )
      const seconds = ((yield* Clock.currentTimeMillis) - start) / 1000
      for (const { details, title } of outcome.findings) yield* progress(`${name}: FOUND: ${title}\n${details}`)
      return { ...nothing, ...outcome, seconds }
    }))

const scratch = (prefix: string) =>
  Effect.acquireRelease(
    Effect.promise(() => fs.mkdtemp(prefix)),
    (directory) => Effect.promise(() => fs.rm(directory, { recursive: true, force: true, maxRetries: 10 }))
  )
