/** The program as a process: `CARAVEL_SERVER=http://127.0.0.1:8080 npm start -- PUBKEY SUBDOMAIN`. */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Console, Effect } from "effect"
import process from "node:process"
import * as Services from "./Services.js"
import { signUp } from "./signUp.js"

const program = (tenant: string, subdomain: string) =>
  Effect.gen(function*() {
    const relay = yield* signUp(tenant, subdomain)
    yield* Console.log(`${relay.id} is ${relay.status}, on the plan ${relay.plan}`)
  })

const [tenant, subdomain] = process.argv.slice(2)
if (tenant === undefined || subdomain === undefined) {
  process.stderr.write("Usage: npm start -- PUBKEY SUBDOMAIN\n")
  process.exitCode = 1
} else NodeRuntime.runMain(Effect.provide(program(tenant, subdomain), Services.layer))
