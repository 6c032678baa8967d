import { type Drift, Journal, Position } from "@caravel/domain"
import { Memory } from "@caravel/memory"
import { expect, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { drifts } from "../src/Drifts.js"

it.effect("the drifts of a verification are those of all its steps", () =>
  Effect.gen(function*() {
    const journal = yield* Journal
    const [sound] = [...(yield* Stream.runCollect(journal.verify))]
    const drift: Drift = {
      kind: "missing",
      resourceType: "relay",
      resourceId: "r",
      field: null,
      expected: {},
      found: null,
      position: Position.make(2)
    }
    const verify = Stream.make({ ...sound!, differences: [drift] }, { ...sound!, differences: [] })
    expect(yield* drifts).toEqual([])
    expect(yield* Effect.provideService(drifts, Journal, { ...journal, verify })).toEqual([drift])
  }).pipe(Effect.provide(Memory.layer)))
