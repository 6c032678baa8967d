/** Runs the same random programs on two adapters, one call after another, and compares all results. */
import { describe, expect, it } from "@effect/vitest"
import { Effect, FastCheck as fc, type Layer } from "effect"
import type { Services } from "./internal/fixture.js"
import { outcomeOf, programs, type Step } from "./internal/outcome.js"
import * as LongRun from "./LongRun.js"

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
