/** A process that takes samples on request, one at a time. */
import { Cause, Effect, Exit, Schema } from "effect"
import process from "node:process"
import * as Message from "./Message.js"
import { scenarios } from "./scenarios/index.js"

const decode = Schema.decodeUnknown(Message.Request)
const encode = Schema.encode(Message.Reply)

const answer = (message: unknown) =>
  Effect.gen(function*() {
    const { scenario, value, ...place } = yield* decode(message)
    // Garbage of earlier samples must not be collected during this one.
    globalThis.gc?.()
    const figures = yield* Effect.scoped(scenarioNamed(scenario).measure(value, place))
    return yield* encode({ _tag: "Sample", figures, peakMiB: process.resourceUsage().maxRSS / 1024 })
  }).pipe(
    Effect.exit,
    Effect.flatMap(Exit.match({
      onSuccess: Effect.succeed,
      onFailure: (cause) => encode({ _tag: "Failure", reason: Cause.pretty(cause) })
    }))
  )

const scenarioNamed = (name: string) => {
  const scenario = scenarios[name]
  if (scenario === undefined) throw new Error(`no scenario is called ${name}`)
  return scenario
}

// The parent decides when this process ends, by ending it or itself. A terminal's Ctrl-C reaches the whole process
// group.
process.on("SIGINT", () => {})
process.on("disconnect", () => process.exit())
process.on("message", (message) => {
  void Effect.runPromise(answer(message)).then((reply) => process.send?.(reply))
})
