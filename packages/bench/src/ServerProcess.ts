/** A separate process for a subject that is served over HTTP. */
import { Effect, type Scope } from "effect"
import { fork } from "node:child_process"
import { extname } from "node:path"
import { fileURLToPath } from "node:url"
import * as Process from "./Process.js"
import type { OpenOptions } from "./Subject.js"

// The server is next to this file, whether in source or built.
const server = fileURLToPath(new URL(`./server${extname(import.meta.url)}`, import.meta.url))

/** Starts a server, which ends with the scope. Returns its URL. */
export const start = (subject: string, options: OpenOptions): Effect.Effect<string, never, Scope.Scope> =>
  Effect.acquireRelease(
    // Standard output is for the report: logs go to standard error.
    Effect.sync(() => fork(server, [subject, JSON.stringify(options)], { stdio: [0, 2, 2, "ipc"] })),
    Process.stop
  ).pipe(
    Effect.flatMap((child) =>
      Effect.async<unknown>((resume) => {
        child.once("message", (port) => resume(Effect.succeed(port)))
        child.once("exit", (code) => resume(Effect.dieMessage(`the server ended with ${code}`)))
      })
    ),
    Effect.map((port) => `http://127.0.0.1:${port}`)
  )
