#!/usr/bin/env node
/** The search for faults as a process. */
import * as ValidationError from "@effect/cli/ValidationError"
import * as NodeContext from "@effect/platform-node/NodeContext"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Cause, Console, Effect, Exit, Option } from "effect"
import process from "node:process"
import { FaultsFound, main } from "./Cli.js"

/** An invalid command line and the findings have been reported already. */
const reported = (error: unknown) => ValidationError.isValidationError(error) || error instanceof FaultsFound

const program = Effect.tapErrorCause(
  main(process.argv),
  (cause) =>
    Cause.isInterruptedOnly(cause) || Option.exists(Cause.failureOption(cause), reported)
      ? Effect.void
      : Console.error(Cause.pretty(cause))
)

NodeRuntime.runMain(Effect.provide(program, NodeContext.layer), {
  disableErrorReporting: true,
  teardown: (exit, end) => {
    if (Exit.isSuccess(exit)) return end(0)
    // The exit code of shells for a program that Ctrl-C ended.
    return end(Cause.isInterruptedOnly(exit.cause) ? 130 : 1)
  }
})
