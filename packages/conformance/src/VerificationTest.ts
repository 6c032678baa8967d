/** The contract of `Journal.verify` and `Journal.rebuild`. */
import { describe } from "@effect/vitest"
import type { Layer } from "effect"
import type { Backdoor } from "./internal/backdoor.js"
import { damaged } from "./internal/damaged.js"
import { damaging } from "./internal/damaging.js"
import { drifting } from "./internal/drifting.js"
import type { Services } from "./internal/fixture.js"
import { wrongClocks } from "./internal/wrongClocks.js"
import * as LongRun from "./LongRun.js"

export type {
  /**
   * Access to an adapter's stored data that bypasses Caravel.
   *
   * @since 0.1.0
   * @category models
   */
  Backdoor,
  /**
   * Identifies a row.
   *
   * @since 0.1.0
   * @category models
   */
  RowId
} from "./internal/backdoor.js"

/**
 * Proves that an adapter's `Journal.verify` reports exactly the changes that were made through the backdoor, and that
 * `Journal.rebuild` repairs them.
 *
 * @since 0.1.0
 * @category suites
 */
export const suite = <R, E>(
  name: string,
  layer: Layer.Layer<Services | R, E>,
  backdoor: Backdoor<R>,
  options?: { readonly runs?: number; readonly timeout?: number }
): void => {
  describe(`Verification: ${name}`, () => {
    describe("damage", () => damaged(layer, backdoor))
    describe("wrong clocks", () => wrongClocks(layer))
    describe("random programs", () =>
      drifting(layer, backdoor, {
        numRuns: LongRun.count("CARAVEL_DRIFTS", { usual: options?.runs ?? 15, long: 500 }),
        timeout: LongRun.timeout(options?.timeout ?? 120_000)
      }))
    describe("random damage", () =>
      damaging(layer, backdoor, {
        rounds: LongRun.count("CARAVEL_DAMAGES", { usual: options?.runs ?? 15, long: 2000 }),
        timeout: LongRun.timeout(options?.timeout ?? 120_000)
      }))
  })
}
