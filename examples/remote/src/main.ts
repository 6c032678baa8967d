/** The program as a process: `CARAVEL_SERVER=http://127.0.0.1:8080 npm start -- PUBKEY SUBDOMAIN`. */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Console, Effect, Schema } from "effect"
import process from "node:process"
import * as Services from "./Services.js"
import { signUp } from "./signUp.js"

const Arguments = Schema.Tuple(Schema.String, Schema.String)

const program = Effect.gen(function*() {
  const [tenant, subdomain] = yield* Schema.decodeUnknown(Arguments)(process.argv.slice(2))
  const relay = yield* signUp(tenant, subdomain)
  yield* Console.log(`${relay.id} is ${relay.status}, on the plan ${relay.plan}`)
})

NodeRuntime.runMain(Effect.provide(program, Services.layer))
