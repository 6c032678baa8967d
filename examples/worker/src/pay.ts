/** What happens when a payment arrives: `npm run pay TENANT 2026-01`. */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { DateTime, Effect, Schema } from "effect"
import process from "node:process"
import * as App from "./App.js"
import { Billing } from "./Billing.js"
import { Month } from "./Price.js"

const program = Effect.gen(function*() {
  const [tenant = "", month] = process.argv.slice(2)
  const billing = yield* Billing
  yield* billing.pay(tenant, yield* Schema.decodeUnknown(Month)(month), yield* DateTime.now)
})

NodeRuntime.runMain(Effect.provide(program, App.layer))
