/** The contract of durable consumers, and of the `CheckpointStore` below them. */
import { describe } from "@effect/vitest"
import type { Layer } from "effect"
import { consumedEpochs } from "./internal/epochs.js"
import type { Services } from "./internal/fixture.js"
import { following } from "./internal/following.js"
import { leasing } from "./internal/leasing.js"
import { parking } from "./internal/parking.js"
import { replaying } from "./internal/replaying.js"

/**
 * Every handling, lease, failure and parking of consumers over an adapter.
 *
 * @since 0.1.0
 * @category suites
 */
export const suite = <E>(name: string, layer: Layer.Layer<Services, E>): void => {
  describe(`Consumer: ${name}`, () => {
    describe("following", () => following(layer))
    describe("epochs", () => consumedEpochs(layer))
    describe("leasing", () => leasing(layer))
    describe("parking", () => parking(layer))
    describe("replaying", () => replaying(layer))
  })
}
