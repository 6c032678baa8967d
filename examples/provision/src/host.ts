/** The fake host as a process: `PORT=7447 FAILURES=0.2 DELAY="50 millis" npm run host`. */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Config, Effect, Layer, Random } from "effect"
import { createServer } from "node:http"
import * as FakeHost from "./FakeHost.js"

const program = Effect.gen(function*() {
  const port = yield* Config.port("PORT").pipe(Config.withDefault(7447))
  const delay = yield* Config.duration("DELAY").pipe(Config.withDefault("0 millis"))
  const failures = yield* Config.number("FAILURES").pipe(Config.withDefault(0))

  const host = FakeHost.layer((relay, moment) =>
    Effect.gen(function*() {
      yield* Effect.log(`${moment} ${relay.id}, version ${relay.version}: ${relay.subdomain} is ${relay.status}`)
      yield* Effect.sleep(delay)
      // There are two moments at which a call can fail, so each gets half of the probability.
      if ((yield* Random.next) < failures / 2) return yield* Effect.fail("out of order")
    })
  )
  const server = NodeHttpServer.layer(createServer, { port, host: "127.0.0.1" })
  return yield* Layer.launch(Layer.provide(host, server))
})

NodeRuntime.runMain(program)
