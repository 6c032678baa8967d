/** The contract of `Command`. */
import { describe } from "@effect/vitest"
import type { Layer } from "effect"
import { conflicts } from "./internal/conflicts.js"
import { expecting } from "./internal/expecting.js"
import type { Services } from "./internal/fixture.js"
import { idempotency } from "./internal/idempotency.js"
import { input } from "./internal/input.js"
import { invariants } from "./internal/invariants.js"
import { limits } from "./internal/limits.js"
import { metadata, spans } from "./internal/metadata.js"
import { secrets } from "./internal/secrets.js"
import { seventeen } from "./internal/seventeen.js"
import { submit } from "./internal/submit.js"
import { updates } from "./internal/updates.js"

/**
 * Proves an adapter's `Command`: all seventeen commands, their conflicts, secrets, `submit`, metadata, expected
 * versions, idempotency keys and the invariants. Commands that are executed by another process have their spans there.
 *
 * @since 0.1.0
 * @category suites
 */
export const suite = <E>(
  name: string,
  layer: Layer.Layer<Services, E>,
  { isRemote = false }: { readonly isRemote?: boolean } = {}
): void => {
  describe(`Command: ${name}`, () => {
    describe("the seventeen commands", () => seventeen(layer))
    describe("conflicts", () => conflicts(layer))
    describe("updates and defaults", () => updates(layer))
    describe("submit", () => submit(layer))
    describe("input", () => input(layer))
    describe("limits", () => limits(layer))
    describe("secrets", () => secrets(layer))
    describe("metadata", () => metadata(layer))
    if (!isRemote) describe("spans", () => spans(layer))
    describe("expected versions", () => expecting(layer))
    describe("idempotency keys", () => idempotency(layer))
    describe("invariants", () => invariants(layer))
  })
}
