/** The provisioner as a process: `CARAVEL_DATABASE=data/caravel.db RELAY_HOST_URL=http://127.0.0.1:7447 npm start`. */
import { Sqlite } from "@caravel/sql"
import { Provisioner, RelayHost } from "@caravel/workers"
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Config, Effect, Layer } from "effect"

const database = Sqlite.layerConfig({
  filename: Config.string("CARAVEL_DATABASE").pipe(Config.withDefault("data/caravel.db"))
})

const host = Config.url("RELAY_HOST_URL").pipe(
  Config.withDefault(new URL("http://127.0.0.1:7447")),
  Effect.map(RelayHost.layer),
  Layer.unwrapEffect,
  Layer.provide(NodeHttpClient.layer)
)

const program = Effect.gen(function*() {
  // If this process dies without releasing its lease, another one takes over after this time.
  const leaseDuration = yield* Config.duration("PROVISIONER_LEASE").pipe(Config.withDefault("10 seconds"))
  const stopTimeout = yield* Config.duration("PROVISIONER_STOP").pipe(Config.withDefault("5 seconds"))
  yield* Effect.log("Following the relays")
  return yield* Provisioner.run({ leaseDuration, stopTimeout })
})

// Ctrl-C and SIGTERM interrupt the program: calls in progress may end, and then the lease is released.
NodeRuntime.runMain(Effect.provide(program, Layer.merge(database, host)))
