/** Where operations that are interrupted keep their files. */
import { Effect, type Scope } from "effect"
import * as fs from "node:fs"
import { join } from "node:path"

const memory = "/dev/shm"

/** A directory in memory if there is one, as nothing must reach a disk, and otherwise this one. */
export const scratch = (directory: string): Effect.Effect<string, never, Scope.Scope> =>
  fs.existsSync(memory)
    ? Effect.acquireRelease(
      Effect.sync(() => fs.mkdtempSync(join(memory, "caravel-faults-"))),
      (directory) => Effect.sync(() => fs.rmSync(directory, { recursive: true, force: true }))
    )
    : Effect.sync(() => fs.realpathSync(directory))
