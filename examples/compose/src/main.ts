/** The application on an SQLite file: `npm start`. */
import { Command } from "@caravel/domain"
import { Sqlite } from "@caravel/sql"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Clock, Config, Console, Effect, Layer } from "effect"
import { DomainNames } from "./DomainNames.js"

const tenant = "82341f882b6eabcd2ba7f1ef90aad961cf074af15b9ef44a09f9d2a8fbfbe6a2"

const program = Effect.gen(function*() {
  const command = yield* Command
  const names = yield* DomainNames
  yield* Effect.catchTag(command.createTenant({ pubkey: tenant }), "TenantAlreadyExists", () => Effect.void)
  const now = yield* Clock.currentTimeMillis
  const relay = { id: `relay-${now}`, tenant, subdomain: `s${now}` }
  yield* names.rent(relay, "relay.example.com").pipe(
    Effect.flatMap(({ position }) => Console.log(`${relay.id} has relay.example.com, by position ${position}`)),
    Effect.catchTag("DomainNameTaken", (error) => Console.log(`${error.message}, so ${relay.id} was not created`))
  )
})

const caravel = Sqlite.layerConfig({
  filename: Config.withDefault(Config.string("CARAVEL_DATABASE"), "data/compose.db")
})

NodeRuntime.runMain(Effect.provide(program, Layer.provideMerge(DomainNames.Default, caravel)))
