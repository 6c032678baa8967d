/** Random programs whose outcomes are compared between adapters. */
import { Command } from "@caravel/domain"
import { Effect, FastCheck as fc } from "effect"
import { atMillis, observe, plain } from "./fixture.js"
import { call } from "./linearize.js"
import type { Call } from "./model.js"
import { anyCalls, type ClockOf, clocks, keyedClocks, metadata } from "./programs.js"

export interface Step {
  readonly call: Call
  readonly clock: ClockOf
  /** One of a few keys, so that calls share them. */
  readonly key: string | undefined
  readonly metadata: object
  readonly outer: object
}

const sent = { call: anyCalls, metadata, outer: metadata }

/** Programs of calls with keys, metadata and wrong clocks. */
export const programs: fc.Arbitrary<ReadonlyArray<Step>> = fc.array(
  fc.oneof(
    fc.record({ ...sent, clock: clocks, key: fc.constant(undefined) }),
    fc.record({ ...sent, clock: keyedClocks, key: fc.constantFrom("1", "2", "__proto__", "\u{1F600}", "nul\0") })
  ),
  { minLength: 1, maxLength: 60, size: "max" }
)

/** All answers of a program and the data that it leaves. Random event ids are replaced by the events' positions. */
export const outcomeOf = (program: ReadonlyArray<Step>) =>
  Effect.gen(function*() {
    const answers: Array<unknown> = []
    for (const [n, step] of program.entries()) {
      const answer = step.key === undefined ? call(step.call) : Command.withIdempotencyKey(step.key)(call(step.call))
      answers.push(plain(
        yield* answer.pipe(
          Command.withMetadata(step.metadata),
          Command.withMetadata(step.outer),
          Effect.mapError(({ _tag }) => _tag),
          Effect.either,
          atMillis(step.clock(n))
        )
      ))
    }
    const world = yield* observe
    const ids = new Map<unknown, string>(world.events.map(({ id, position }) => [id, `event ${position}`]))
    const renamed = (_: string, value: unknown) => ids.get(value) ?? value
    return JSON.parse(JSON.stringify({ answers, world }, renamed)) as unknown
  })
