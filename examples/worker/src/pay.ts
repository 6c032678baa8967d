/** What happens when a payment arrives: `npm run pay TENANT 2026-01`. */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { DateTime, Effect, Schema } from "effect"
import process from "node:process"
import * as App from "./App.js"
import { Billing } from "./Billing.js"
import { Month } from "./Price.js"

const program = (tenant: string, month: string) =>
  Effect.gen(function*() {
    const billing = yield* Billing
    yield* billing.pay(tenant, yield* Schema.decode(Month)(month), yield* DateTime.now)
  })

const [tenant, month] = process.argv.slice(2)
if (tenant === undefined || month === undefined) {
  process.stderr.write("Usage: npm run pay TENANT MONTH, such as npm run pay 82341f… 2026-01\n")
  process.exitCode = 1
} else NodeRuntime.runMain(Effect.provide(program(tenant, month), App.layer))
