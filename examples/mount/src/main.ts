/** The application as a process on an SQLite file: `npm start`. It prints a new token for Caravel's routes. */
import { Credentials, Server } from "@caravel/http"
import { Sqlite } from "@caravel/sql"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Config, Console, Effect, Layer, Redacted } from "effect"
import { createServer } from "node:http"
import * as App from "./App.js"

const app = Layer.unwrapEffect(Effect.gen(function*() {
  // For trials. Keep only the hash of a token that is in use.
  const { hash, token } = yield* Credentials.makeToken
  yield* Console.log(`http://127.0.0.1:8080 with the token ${Redacted.value(token)}`)
  return App.layer({ tokens: [{ name: "operator", role: "admin", hash, grants: [] }] })
}))

const database = Sqlite.layerConfig({
  filename: Config.withDefault(Config.string("CARAVEL_DATABASE"), "data/mount.db")
})

NodeRuntime.runMain(Layer.launch(app.pipe(
  Layer.provide(NodeHttpServer.layer(() => Server.endAbandoned(createServer()), { host: "127.0.0.1", port: 8080 })),
  Layer.provide(database)
)))
