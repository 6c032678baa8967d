import { Consumer } from "@caravel/pubsub"
import { Sqlite } from "@caravel/sql"
import { Effect, Fiber, Layer, Schedule } from "effect"
import type { Case } from "../Case.js"
import { type Scenario } from "../Scenario.js"
import * as CatchUp from "./CatchUp.js"

let consumers = 0

/** A new consumer that handles activities from the beginning, some of which fail. */
const consumer = (fails: (position: number) => boolean): CatchUp.Reader => (filename, count) =>
  Effect.map(Layer.build(Sqlite.layer({ filename })), (context) => {
    const name = `consumer-${process.pid}-${consumers++}`
    return Effect.gen(function*() {
      const run = yield* Effect.fork(Consumer.run({
        name,
        from: "beginning",
        retry: Schedule.stop,
        onFailure: "parkResource",
        handle: ({ position }) => fails(position) ? Effect.fail("no") : Effect.void
      }))
      yield* Consumer.awaitPosition(name, count)
      yield* Fiber.interrupt(run)
      return count
    }).pipe(Effect.orDie, Effect.provide(context))
  }).pipe(Effect.orDie)

/** How fast a durable consumer catches up. */
export const scenario: Scenario = {
  ...CatchUp.scenario,
  title: "A consumer that is behind",
  description:
    "Activities per second that a durable consumer handles from the beginning, checkpoints included: its handler does " +
    "nothing or, where it parks, fails for one activity in a thousand. Raw reads the same rows as plain objects in pages.",
  comparisons: [
    ...CatchUp.scenario.comparisons,
    { title: "× caravel", figure: "activities/s", to: (value) => ({ ...value, subject: "caravel" }) }
  ],
  cases: ({ some }) => ["raw", "caravel", "caravel-parking"].map((subject): Case => ({ subject, events: some })),
  measure: CatchUp.measure({
    raw: CatchUp.raw,
    caravel: consumer(() => false),
    // A prime, so that the failures are spread over all relays.
    "caravel-parking": consumer((position) => position % 997 === 0)
  })
}
