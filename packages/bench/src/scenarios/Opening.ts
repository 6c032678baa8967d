import { Sqlite } from "@caravel/sql"
import { Effect, Layer } from "effect"
import { performance } from "node:perf_hooks"
import { file, type Scenario } from "../Scenario.js"
import { median } from "../Statistics.js"

/** How opening depends on the length of the history. */
export const scenario: Scenario = {
  title: "Opening",
  description: "Milliseconds until Sqlite.layer is built, on a file with the newest schema, and until it is closed.",
  figures: { open: 2, close: 2 },
  comparisons: [{ title: "× empty", figure: "open", to: (value) => ({ ...value, events: 0 }) }],
  warmUp: true,
  cases: ({ few, many }) => [0, few, many].map((events) => ({ subject: "caravel", events })),
  measure: (value, place) =>
    Effect.gen(function*() {
      const filename = yield* file(value, place)
      const opened: Array<number> = []
      const closed: Array<number> = []
      for (let opening = 0; opening < place.settings.openings; opening++) {
        const started = performance.now()
        const ready = yield* Effect.scoped(Effect.map(Layer.build(Sqlite.layer({ filename })), () => performance.now()))
        opened.push(ready - started)
        closed.push(performance.now() - ready)
      }
      return { open: median(opened), close: median(closed) }
    }).pipe(Effect.orDie)
}
