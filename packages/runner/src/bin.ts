#!/usr/bin/env node
/** The `caravel` program as a process. */
import { withoutSecrets } from "@caravel/domain/adapter"
import * as NodeContext from "@effect/platform-node/NodeContext"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Cause, Effect, Exit, Layer, Logger } from "effect"
import process from "node:process"
import { main } from "./Cli.js"
import * as Output from "./terminal/Output.js"

// By convention, the exit code of a program that a signal ended.
const exitCodes = { SIGINT: 130, SIGTERM: 143 } as const

/** npm passes a signal of the terminal on, which the terminal has sent to this process, too. In milliseconds. */
const sameSignal = 50

let exitCode: number | undefined
let signalledAt = 0
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.on(signal, () => {
    // The first signal shuts down gracefully, a second one exits at once.
    if (exitCode === undefined) {
      exitCode = exitCodes[signal]
      signalledAt = performance.now()
    } else if (performance.now() - signalledAt > sameSignal) process.exit(exitCode)
  })
}

const layer = Layer.mergeAll(
  Output.layer,
  NodeContext.layer,
  // Standard output is for results.
  Logger.replace(Logger.defaultLogger, Logger.withConsoleError(Logger.logfmtLogger))
)

NodeRuntime.runMain(Effect.provide(main(process.argv), layer), {
  disableErrorReporting: true,
  disablePrettyLogger: true,
  teardown: (exit, end) => {
    // A subcommand for which it is a success to be ended by a signal has said so.
    if (exitCode !== undefined) return end(Number(process.exitCode ?? exitCode))
    if (Exit.isSuccess(exit)) return end(0)
    // A failure has been reported. A defect is a bug, which is reported here.
    for (const defect of Cause.defects(exit.cause)) {
      process.stderr.write(withoutSecrets(`caravel: unexpected: ${defect}; please report this\n`))
    }
    return end(1)
  }
})
