/** The contract of durable consumers, and of the `ConsumerStore` below them. */
import { describe } from "@effect/vitest"
import { Layer, Logger, LogLevel } from "effect"
import { batches } from "./internal/batches.js"
import { consumedEpochs } from "./internal/epochs.js"
import { failing } from "./internal/failing.js"
import type { Services } from "./internal/fixture.js"
import { following } from "./internal/following.js"
import { layers } from "./internal/layers.js"
import { leasing } from "./internal/leasing.js"
import { observing } from "./internal/observing.js"
import { once } from "./internal/once.js"
import { parking } from "./internal/parking.js"
import { replaying } from "./internal/replaying.js"
import { stopping } from "./internal/stopping.js"

/**
 * Proves an adapter's consumers: handling, leases, failures, parking and replays.
 *
 * @since 0.1.0
 * @category suites
 */
export const suite = <E>(name: string, layer: Layer.Layer<Services, E>): void => {
  describe(`Consumer: ${name}`, () => {
    // Handlers fail on purpose here, which need not be logged.
    const quiet = Layer.merge(layer, Logger.minimumLogLevel(LogLevel.None))
    describe("following", () => following(quiet))
    describe("epochs", () => consumedEpochs(quiet))
    describe("leasing", () => leasing(quiet))
    describe("failing", () => failing(quiet))
    describe("stopping", () => stopping(quiet))
    describe("parking", () => parking(quiet))
    describe("replaying", () => replaying(quiet))
    describe("batches", () => batches(quiet))
    describe("once", () => once(quiet))
    describe("layers", () => layers(quiet))
    describe("observing", () => observing(quiet))
  })
}
