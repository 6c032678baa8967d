import { StorageError } from "@caravel/domain"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Exit } from "effect"
import { attempt, CaseFailed, fail } from "../../src/disks/Case.js"
import { must } from "../../src/operations/Databases.js"

describe("an attempt", () => {
  it.effect("may fail with a typed error", () =>
    Effect.gen(function*() {
      const full = new StorageError({ reason: "full", operation: "a write", cause: new Error("full") })
      expect(yield* attempt("a write", full)).toEqual(Exit.fail(full))
      expect(yield* attempt("a write", Effect.succeed(1))).toEqual(Exit.succeed(1))
    }))

  it.effect("fails its case if something in it does not hold, or if it dies", () =>
    Effect.gen(function*() {
      const failed = [
        yield* Effect.flip(attempt("a check", must(false, "it does not hold"))),
        yield* Effect.flip(attempt("a check", fail("it does not hold"))),
        yield* Effect.flip(attempt("opening", attempt("reading", Effect.die("it does not hold"))))
      ]
      for (const error of failed) {
        expect(error).toBeInstanceOf(CaseFailed)
        expect(error.message).toContain("it does not hold")
      }
    }))
})
