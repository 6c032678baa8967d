/** The verification of the rows as JSON lines: its steps while it runs, and a last line that says that it is complete. */
import { Journal } from "@caravel/domain"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { Effect, Stream } from "effect"
import * as Problem from "../api/Problem.js"
import { ShuttingDown } from "../api/RequestError.js"
import { Drain } from "./Drain.js"

const bytes = new TextEncoder()

/**
 * Verifies, and answers every step. The last line is `{"complete": true}` with the number of drifts, or a problem.
 *
 * @since 0.1.0
 * @category responses
 */
export const response: Effect.Effect<HttpServerResponse.HttpServerResponse, never, Drain | Journal> = Effect.gen(
  function*() {
    const drain = yield* Drain
    const journal = yield* Journal
    let drifts = 0
    const lines = journal.verify.pipe(
      Stream.tap(({ differences }) => Effect.sync(() => drifts += differences.length)),
      Stream.concat(Stream.suspend(() => Stream.make({ complete: true, drifts }))),
      Stream.interruptWhen(Effect.zipRight(drain.begun, new ShuttingDown())),
      Stream.catchAll((error) => Stream.make(Problem.encode(error))),
      Stream.map((line) => bytes.encode(`${JSON.stringify(line)}\n`))
    )
    return HttpServerResponse.stream(lines, {
      contentType: "application/x-ndjson",
      headers: { "cache-control": "no-store", "x-accel-buffering": "no" }
    })
  }
)
