/** The worker as a process: `CARAVEL_SERVER=http://127.0.0.1:8080 npm run follow`. */
import * as NodeContext from "@effect/platform-node/NodeContext"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Config, Console, Effect, Layer } from "effect"
import { follow } from "./Follower.js"
import * as Services from "./Services.js"

const program = Effect.gen(function*() {
  const path = yield* Config.withDefault(Config.string("CHECKPOINT"), "checkpoint.json")
  yield* follow(
    path,
    ({ activityType, position, resourceId }) => Console.log(`${position}: ${activityType} ${resourceId}`)
  )
})

NodeRuntime.runMain(Effect.provide(program, Layer.merge(Services.layer, NodeContext.layer)))
