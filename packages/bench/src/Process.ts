/** A separate process for a subject, so that its memory and its garbage are its own. */
import { Data, Effect, Schema, type Scope } from "effect"
import { type ChildProcess, fork } from "node:child_process"
import { extname } from "node:path"
import process from "node:process"
import { fileURLToPath } from "node:url"
import * as Message from "./Message.js"

/** A process could not measure. */
export class MeasurementFailed extends Data.TaggedError("MeasurementFailed")<{ readonly message: string }> {}

/** Takes samples, one at a time. */
export type Measure = (request: Message.Request) => Effect.Effect<Sample, MeasurementFailed>

/** The result of a measurement. */
export type Sample = Extract<Message.Reply, { readonly _tag: "Sample" }>

// The worker is next to this file, whether in source or built.
const worker = fileURLToPath(new URL(`./worker${extname(import.meta.url)}`, import.meta.url))

/** Starts a process, with more variables in its environment. It ends with the scope. */
export const start = (
  variables: { readonly [name: string]: string } = {}
): Effect.Effect<Measure, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() =>
        fork(worker, {
          execArgv: [...process.execArgv, "--expose-gc"],
          env: { ...process.env, ...variables },
          // Standard output is for the report: logs go to standard error.
          stdio: [0, 2, 2, "ipc"]
        })
      ),
      stop
    ),
    (child): Measure => (request) =>
      Effect.filterOrElse(
        ask(child, Schema.encodeSync(Message.Request)(request)),
        (reply) => reply._tag === "Sample",
        ({ reason }) => new MeasurementFailed({ message: reason })
      )
  )

/** Ends a process, and waits until it has ended. */
export function stop(child: ChildProcess): Effect.Effect<void> {
  return Effect.async<void>((resume) => {
    if (child.exitCode !== null || child.signalCode !== null) return resume(Effect.void)
    child.once("exit", () => resume(Effect.void))
    child.kill("SIGKILL")
  })
}

const ask = (child: ChildProcess, request: typeof Message.Request.Encoded) =>
  Effect.async<unknown, MeasurementFailed>((resume) => {
    const done = (exit: Effect.Effect<unknown, MeasurementFailed>) => {
      child.off("message", onMessage).off("exit", onExit).off("error", onError)
      resume(exit)
    }
    const fail = (message: string) => done(new MeasurementFailed({ message }))
    const onMessage = (message: unknown) => done(Effect.succeed(message))
    const onExit = (code: number | null, signal: string | null) => fail(`the process ended with ${signal ?? code}`)
    const onError = (error: Error) => fail(error.message)
    child.once("message", onMessage).once("exit", onExit).once("error", onError)
    child.send(request, (error) => error && fail(error.message))
  }).pipe(
    Effect.flatMap(Schema.decodeUnknown(Message.Reply)),
    Effect.catchTag("ParseError", ({ message }) => new MeasurementFailed({ message }))
  )
