import { Background } from "@caravel/pubsub"
import { describe, expect, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Layer, Logger, Scope } from "effect"

const ends: ReadonlyArray<readonly [how: string, end: Effect.Effect<never, string>]> = [
  ["fails", Effect.fail("no")],
  ["dies", Effect.die("no")],
  ["is interrupted from inside", Effect.interrupt]
]

describe("a background fiber", () => {
  for (const [how, end] of ends) {
    it.scoped(`is restarted when it ${how}, which is logged`, () =>
      Effect.gen(function*() {
        const lines: Array<string> = []
        const logger = Logger.make(({ logLevel, message }) => void lines.push(`${logLevel.label} ${String(message)}`))
        const again = yield* Deferred.make<void>()
        let runs = 0
        const effect = Effect.suspend(() =>
          ++runs === 1 ? end : Effect.zipRight(Deferred.succeed(again, undefined), end)
        )
        const scope = yield* Scope.make()
        yield* Background.run("The watch", effect).pipe(
          Scope.extend(scope),
          Effect.provide(Layer.merge(Logger.add(logger), Logger.remove(Logger.defaultLogger)))
        )
        yield* Deferred.await(again)
        expect(lines[0]).toContain("ERROR The watch has ended, and is started again")
        yield* Scope.close(scope, Exit.void)
        const before = runs
        yield* Effect.repeatN(Effect.yieldNow(), 20)
        expect(runs).toBe(before)
      }))
  }

  it.scoped("ends when its effect succeeds", () =>
    Effect.gen(function*() {
      const done = yield* Deferred.make<void>()
      yield* Background.run("The watch", Deferred.succeed(done, undefined))
      yield* Deferred.await(done)
    }))
})
