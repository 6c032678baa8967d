/** The contract of `History`, which reads an adapter's journal. */
import { describe, it } from "@effect/vitest"
import { Effect, FastCheck as fc, type Layer } from "effect"
import type { Services } from "./internal/fixture.js"
import { stories, tells } from "./internal/past.js"
import { timeTravel } from "./internal/timeTravel.js"
import { usageOverTime } from "./internal/usage.js"
import * as LongRun from "./LongRun.js"

/**
 * Proves an adapter's `History` by examples, and by comparing random programs with the reference model.
 *
 * @since 0.1.0
 * @category suites
 */
export const suite = <E>(
  name: string,
  layer: Layer.Layer<Services, E>,
  options?: { readonly runs?: number; readonly timeout?: number }
): void => {
  describe(`History: ${name}`, () => {
    describe("time travel", () => timeTravel(layer))
    describe("usage", () => usageOverTime(layer))
    it("agrees with the reference model at every moment of random programs", () =>
      fc.assert(
        fc.asyncProperty(
          stories,
          (story) => Effect.runPromise(tells(story).pipe(Effect.scoped, Effect.provide(layer)))
        ),
        { numRuns: LongRun.count("CARAVEL_STORIES", { usual: options?.runs ?? 25, long: 500 }) }
      ), LongRun.timeout(options?.timeout ?? 120_000))
  })
}
