/** The job at the end of a month: `npm run bill 2026-01`. A second argument is the instant to use as now. */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { DateTime, Effect, Schema } from "effect"
import process from "node:process"
import * as App from "./App.js"
import { Billing } from "./Billing.js"
import { Month } from "./Price.js"

const program = Effect.gen(function*() {
  const [month, instant] = process.argv.slice(2)
  const billing = yield* Billing
  const now = instant === undefined ? yield* DateTime.now : yield* Schema.decode(Schema.DateTimeUtc)(instant)
  yield* billing.closeMonth(yield* Schema.decodeUnknown(Month)(month), now)
  yield* billing.collect(now)
})

NodeRuntime.runMain(Effect.provide(program, App.layer))
