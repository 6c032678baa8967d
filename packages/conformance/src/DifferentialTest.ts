/** Runs the same random programs on two adapters, one call after another, and compares all results. */
import { Command } from "@caravel/domain"
import { describe, expect, it } from "@effect/vitest"
import { Effect, FastCheck as fc, type Layer } from "effect"
import { atMillis, observe, type Plain, plain, type Services } from "./internal/fixture.js"
import { call } from "./internal/linearize.js"
import type { Call } from "./internal/model.js"
import { anyCalls, type ClockOf, clocks, keyedClocks, metadata } from "./internal/programs.js"
import * as LongRun from "./LongRun.js"

interface Step {
  readonly call: Call
  readonly clock: ClockOf
  /** One of a few keys, so that calls share them. */
  readonly key: string | undefined
  readonly metadata: object
  readonly outer: object
}

const sent = { call: anyCalls, metadata, outer: metadata }

const programs: fc.Arbitrary<ReadonlyArray<Step>> = fc.array(
  fc.oneof(
    fc.record({ ...sent, clock: clocks, key: fc.constant(undefined) }),
    fc.record({ ...sent, clock: keyedClocks, key: fc.constantFrom("1", "2", "__proto__", "\u{1F600}", "nul\0") })
  ),
  { minLength: 1, maxLength: 60, size: "max" }
)

/** All answers of a program and the data that it leaves. Random event ids are replaced by the events' positions. */
const outcomeOf = (program: ReadonlyArray<Step>) =>
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
    const ids = new Map(world.events.map(({ id, position }: Plain) => [id, `event ${position}`]))
    const renamed = (_: string, value: unknown) => ids.get(value) ?? value
    return JSON.parse(JSON.stringify({ answers, world }, renamed))
  })

/**
 * Proves that callers cannot distinguish two adapters. Random programs with keys, expected versions, metadata, unusual
 * texts and wrong clocks must have the same answers, refusals, rows, events and activities.
 *
 * @since 0.1.0
 * @category suites
 */
export const suite = <E, E2>(
  name: string,
  one: Layer.Layer<Services, E>,
  other: Layer.Layer<Services, E2>
): void => {
  describe(`The same: ${name}`, () => {
    const run = <E>(program: ReadonlyArray<Step>, layer: Layer.Layer<Services, E>) =>
      Effect.runPromise(outcomeOf(program).pipe(Effect.scoped, Effect.provide(layer)))

    it("random programs have the same answers and leave the same data", () =>
      fc.assert(
        fc.asyncProperty(programs, async (program) => {
          expect(await run(program, one)).toEqual(await run(program, other))
        }),
        { numRuns: LongRun.count("CARAVEL_DIFFERENTIAL", { usual: 15, long: 500 }), seed: LongRun.seed }
      ), LongRun.timeout(120_000))
  })
}
