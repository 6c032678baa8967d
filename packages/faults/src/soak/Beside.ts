/** A process on the same database that writes and follows, and is killed every few seconds. */
import { Data, Effect, Random } from "effect"
import { type ChildProcess, fork } from "node:child_process"
import { extname } from "node:path"
import process from "node:process"
import { fileURLToPath } from "node:url"
import type { Storage } from "./Storage.js"

const program = fileURLToPath(new URL(`./child${extname(import.meta.url)}`, import.meta.url))

/** The process has ended although nothing has killed it, or has not become ready. */
class ProcessFailed extends Data.TaggedError("ProcessFailed")<{ readonly message: string }> {}

/** How long the process may take to become ready, under load. */
const patience = "2 minutes"

const ended = (child: ChildProcess) =>
  Effect.async<void>((resume) => {
    if (child.exitCode !== null || child.signalCode !== null) return resume(Effect.void)
    child.once("exit", () => resume(Effect.void))
  })

const ready = (child: ChildProcess) =>
  Effect.async<void>((resume) => void child.once("message", () => resume(Effect.void))).pipe(
    Effect.timeoutFail({
      duration: patience,
      onTimeout: () => new ProcessFailed({ message: `the process beside is not ready after ${patience}` })
    })
  )

/** Starts the process again and again. Fails if it ends by itself. */
export const restarting = (
  { child: { arguments: args, variables } }: Storage,
  onReady: () => void
): Effect.Effect<never, ProcessFailed> =>
  Effect.acquireUseRelease(
    Effect.sync(() =>
      fork(program, [...args], { stdio: ["ignore", "ignore", "inherit", "ipc"], env: { ...process.env, ...variables } })
    ),
    (child) =>
      Effect.raceFirst(
        ready(child).pipe(
          Effect.tap(() => Effect.sync(onReady)),
          Effect.zipRight(Effect.flatMap(Random.nextIntBetween(1_000, 8_000), Effect.sleep))
        ),
        Effect.flatMap(
          ended(child),
          () =>
            new ProcessFailed({ message: `the process beside has ended with ${child.signalCode ?? child.exitCode}` })
        )
      ),
    (child) => Effect.zipRight(Effect.sync(() => child.kill("SIGKILL")), ended(child))
  ).pipe(Effect.forever)
