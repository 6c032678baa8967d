/** The job at the end of a month: `npm run bill 2026-01`. A second argument is the instant to use as now. */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { DateTime, Effect, Schema } from "effect"
import process from "node:process"
import * as App from "./App.js"
import { Billing } from "./Billing.js"
import { Month } from "./Price.js"

const program = (month: string, instant: string | undefined) =>
  Effect.gen(function*() {
    const billing = yield* Billing
    const now = instant === undefined ? yield* DateTime.now : yield* Schema.decode(Schema.DateTimeUtc)(instant)
    yield* billing.closeMonth(yield* Schema.decode(Month)(month), now)
    yield* billing.collect(now)
  })

const [month, instant] = process.argv.slice(2)
if (month === undefined) {
  process.stderr.write("Usage: npm run bill MONTH [NOW], such as npm run bill 2026-01\n")
  process.exitCode = 1
} else NodeRuntime.runMain(Effect.provide(program(month, instant), App.layer))
