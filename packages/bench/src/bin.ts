#!/usr/bin/env node
/** The benchmark as a process. */
import * as NodeContext from "@effect/platform-node/NodeContext"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Cause, Effect, Exit } from "effect"
import process from "node:process"
import { main } from "./Cli.js"

NodeRuntime.runMain(Effect.provide(main(process.argv), NodeContext.layer), {
  teardown: (exit, end) => {
    if (Exit.isSuccess(exit)) return end(0)
    // As a shell says it of who was ended by Ctrl-C.
    return end(Cause.isInterruptedOnly(exit.cause) ? 130 : 1)
  }
})
