/** The worker as a process: `CARAVEL_DATABASE=data/caravel.db npm start`. */
import { Consumer } from "@caravel/pubsub"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Config, Effect, Layer } from "effect"
import * as App from "./App.js"
import { worker } from "./Billing.js"

// If this process dies without releasing its lease, another one takes over after this time.
const Worker = Config.duration("BILLING_LEASE").pipe(
  Config.withDefault("10 seconds"),
  Effect.map(worker),
  Layer.unwrapEffect
)

// Ctrl-C and SIGTERM let the transaction in progress end, and then the lease is released.
NodeRuntime.runMain(Effect.provide(Consumer.fatal, Layer.provideMerge(Worker, App.layer)))
