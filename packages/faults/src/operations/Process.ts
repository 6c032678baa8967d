/** Runs an operation in a process with the library in front of its files. */
import { Data, Effect, type Scope } from "effect"
import { type ChildProcess, fork } from "node:child_process"
import { extname } from "node:path"
import process from "node:process"
import { fileURLToPath } from "node:url"
import { variables } from "../interposer/Layout.js"

/** A process that nothing has killed has failed. */
class ProcessFailed extends Data.TaggedError("ProcessFailed")<{ readonly message: string }> {}

/** What is needed to start a process. */
export interface Options {
  readonly operation: string
  readonly directory: string
  readonly library: string
  /** The control file of the library. */
  readonly control: string
  /** Where calls are recorded, if at all. */
  readonly record?: string | undefined
}

// The program is next to this file, whether in source or built.
const program = fileURLToPath(new URL(`./child${extname(import.meta.url)}`, import.meta.url))

/** Starts a process, which ends with the scope. */
export const start = (
  { control, directory, library, operation, record }: Options
): Effect.Effect<ChildProcess, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() =>
      fork(program, [operation, directory], {
        env: {
          ...process.env,
          // Calls of io_uring would pass by the library.
          UV_USE_IO_URING: "0",
          LD_PRELOAD: library,
          [variables.directory]: directory,
          [variables.control]: control,
          ...(record === undefined ? {} : { [variables.record]: record })
        },
        stdio: ["ignore", "ignore", "pipe", "ipc"]
      })
    ),
    (child) => Effect.zipRight(Effect.sync(() => child.kill("SIGKILL")), ended(child))
  )

/** Waits until a process has ended, and returns whether it was killed. Fails if it ended with an error. */
export const outcome = (child: ChildProcess): Effect.Effect<"completed" | "killed", ProcessFailed> => {
  let errors = ""
  child.stderr?.on("data", (data) => errors += data)
  return Effect.flatMap(ended(child), () =>
    child.signalCode === "SIGKILL"
      ? Effect.succeed("killed" as const)
      : child.exitCode === 0
      ? Effect.succeed("completed" as const)
      : Effect.fail(new ProcessFailed({ message: `ended with ${child.signalCode ?? child.exitCode}: ${errors}` })))
}

const ended = (child: ChildProcess): Effect.Effect<void> =>
  Effect.async<void>((resume) => {
    if (child.exitCode !== null || child.signalCode !== null) return resume(Effect.void)
    child.once("exit", () => resume(Effect.void))
  })
