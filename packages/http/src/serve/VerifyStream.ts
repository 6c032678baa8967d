/** The verification of the rows as JSON lines: its steps while it runs, and a last line that says that it is complete. */
import { Journal } from "@caravel/domain"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { Effect, Schedule, Stream } from "effect"
import type { Identity } from "../api/Identity.js"
import * as Problem from "../api/Problem.js"
import { ShuttingDown, Unauthorized } from "../api/RequestError.js"
import { Drain } from "./Drain.js"
import { Heartbeat } from "./EventStream.js"
import * as Failure from "./Failure.js"
import * as Own from "./Own.js"

const bytes = new TextEncoder()

/**
 * Verifies, and answers every step. The last line is `{"complete": true}` with the number of drifts, or a problem.
 * Empty lines are heartbeats: the database's own check of its file is one long step.
 *
 * @since 0.1.0
 * @category responses
 */
export const response: Effect.Effect<HttpServerResponse.HttpServerResponse, never, Drain | Identity | Journal> = Effect
  .gen(function*() {
    const drain = yield* Drain
    const revoked = yield* Own.revoked
    const journal = yield* Journal
    const heartbeats = Stream.fromSchedule(Schedule.spaced(yield* Heartbeat))
    let drifts = 0
    const lines = journal.verify.pipe(
      Stream.tap(({ differences }) => Effect.sync(() => drifts += differences.length)),
      Stream.concat(Stream.suspend(() => Stream.make({ complete: true, drifts }))),
      Stream.interruptWhen(Effect.zipRight(drain.begun, new ShuttingDown())),
      Stream.interruptWhen(Effect.zipRight(revoked, new Unauthorized({ reason: "unknown" }))),
      Stream.catchAll((error) => Stream.fromEffect(Effect.as(Failure.reported(error), Problem.encode(error)))),
      Stream.map((line) => JSON.stringify(line)),
      Stream.merge(Stream.as(heartbeats, ""), { haltStrategy: "left" }),
      Stream.map((line) => bytes.encode(`${line}\n`))
    )
    return HttpServerResponse.stream(lines, {
      contentType: "application/x-ndjson",
      headers: { "cache-control": "no-store", "x-accel-buffering": "no" }
    })
  })
