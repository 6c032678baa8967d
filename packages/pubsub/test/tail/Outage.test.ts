import { nextTurn } from "@caravel/domain/adapter"
import { InProcess, Tail } from "@caravel/pubsub"
import { expect, it } from "@effect/vitest"
import { Effect, Layer, Logger } from "effect"
import { World } from "../world.js"

it.effect("an outage and its end are logged in one line each, however many fibers encounter them", () =>
  Effect.suspend(() => {
    const world = new World()
    const lines: Array<string> = []
    const logger = Logger.make(({ logLevel, message }) => void lines.push(`${logLevel.label} ${String(message)}`))
    const body = Effect.gen(function*() {
      const tail = yield* Tail.Tail
      for (const outage of [1, 2]) {
        lines.length = 0
        world.failing = 6
        world.commit(1)
        yield* Effect.all(Array.from({ length: 4 }, () => tail.advanceToHead))
        expect([outage, lines]).toEqual([outage, [
          expect.stringMatching(/^WARN The journal cannot be read .*unreadable.*$/)
        ]])
        // Reads of the journal are retried in real time.
        while (world.failing > 0 || lines.length < 2) yield* nextTurn
        expect([outage, lines.slice(1)]).toEqual([outage, [
          "INFO The journal can be read again; everything is broadcast"
        ]])
      }
    })
    const provided = Effect.provide(Effect.scoped(body), Layer.provide(InProcess.layer, world.layer))
    return Effect.provide(provided, Layer.merge(Logger.add(logger), Logger.remove(Logger.defaultLogger)))
  }))
