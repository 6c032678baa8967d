/** Consumers as layers: parts of a program that start and stop with it, and that it survives. */
import type { Activity } from "@caravel/domain"
import { Consumer } from "@caravel/pubsub"
import { expect } from "@effect/vitest"
import { Context, Effect, Exit, Fiber, Layer, Option, Schedule, Scope } from "effect"
import { caughtUp, ended, headOf, log, Recorder, relays } from "./consumer.js"
import { type Services, specs } from "./fixture.js"

const name = "c"
const from = "beginning"
const retry = Schedule.stop

class Seen extends Context.Tag("Seen")<Seen, Recorder>() {}

const handle = (activity: Activity) => Effect.flatMap(Seen, (seen) => seen.handle(activity))

export const layers = <E>(layer: Layer.Layer<Services, E>) => {
  const test = specs(layer)

  test(
    "a consumer starts and stops with its layer, which requires what the handler needs",
    Effect.gen(function*() {
      yield* relays(2)
      const seen = new Recorder()
      const consumer = Consumer.layer({ name, from, handle }).pipe(Layer.provide(Layer.succeed(Seen, seen)))
      const scope = yield* Scope.make()
      yield* Layer.buildWithScope(consumer, scope)
      yield* caughtUp()
      expect(seen.positions).toEqual([1, 2, 3])
      yield* Consumer.ready
      expect((yield* Consumer.lag(name)).status).toBe("running")
      yield* Scope.close(scope, Exit.void)
      expect(yield* Consumer.lag(name)).toMatchObject({ status: "stopped", owner: null, position: 3 })
      yield* log(["r0"])
      expect(seen.positions).toEqual([1, 2, 3])
      yield* Effect.provide(caughtUp(), consumer)
      expect(seen.positions).toEqual([1, 2, 3, 4])
    })
  )

  test(
    "what a call of a layer's handler acquires is released when the call ends",
    Effect.gen(function*() {
      yield* relays(2)
      const steps: Array<string> = []
      const acquired = (what: string) =>
        Effect.acquireRelease(
          Effect.sync(() => void steps.push(what)),
          () => Effect.sync(() => void steps.push(`${what} released`))
        )
      yield* Layer.build(Layer.merge(
        Consumer.layer({ name, from, handle: ({ position }) => acquired(`${position}`) }),
        Consumer.layer({
          name: "batches",
          from,
          handleBatch: ([{ position }]) => acquired(`from ${position}`),
          batchSize: 9
        })
      ))
      yield* Consumer.awaitPosition(name, 3)
      yield* Consumer.awaitPosition("batches", 3)
      expect(steps.filter((step) => !step.startsWith("from"))).toEqual(
        [1, 2, 3].flatMap((position) => [`${position}`, `${position} released`])
      )
      expect(steps.filter((step) => step.startsWith("from"))).toEqual(["from 1", "from 1 released"])
    })
  )

  test(
    "a layer that is built has registered its consumer: with from \"now\", it misses nothing that happens later",
    Effect.gen(function*() {
      yield* relays(1)
      const seen = new Recorder()
      const build = Layer.build(Consumer.layer({ name, from: "now", handle: seen.handle }))
      yield* build
      expect((yield* Consumer.lag(name)).position).toBe(2)
      yield* log(["r0"])
      yield* caughtUp()
      expect(seen.positions).toEqual([3])
    })
  )

  test(
    "a layer fails only where its consumer cannot start",
    Effect.gen(function*() {
      yield* relays(1)
      const build = (options: object) =>
        Effect.flip(Layer.build(Consumer.layer({ name, from, handle: () => Effect.void, ...options })))
      expect((yield* build({ from: 1000 }))._tag).toBe("PositionFromOtherEpoch")
      expect((yield* build({ name: "" }))._tag).toBe("ParseError")
      expect((yield* build({ from: -1 })).message).toContain(`Expected "beginning", "now" or a position`)
      expect((yield* build({ filter: { activity: "create_relay" } }))._tag).toBe("ParseError")
      yield* Consumer.ready
    })
  )

  for (const fatal of [false, true]) {
    test(
      `a consumer that halts is not ready, and the program ends with it only if it is fatal: ${fatal}`,
      Effect.gen(function*() {
        yield* relays(1)
        const other = new Recorder()
        yield* Layer.build(Layer.merge(
          Consumer.layer({ name, from, retry, fatal, handle: () => Effect.fail("no") }),
          Consumer.layer({ name: "other", from, handle: other.handle })
        ))
        const program = yield* Effect.fork(Consumer.fatal)
        const halted = { _tag: "ConsumerHalted", consumer: name, position: 1 }
        expect(yield* Effect.flip(Consumer.awaitPosition(name, 1))).toMatchObject(halted)
        expect(yield* ended).toMatchObject(halted)
        // The others continue.
        yield* log(["r0"])
        yield* caughtUp("other")
        expect(other.activities.length).toBe(3)
        expect(yield* Consumer.list).toMatchObject([{ name, status: "halted" }, { name: "other", status: "running" }])
        if (fatal) expect(yield* Effect.flip(Fiber.join(program))).toMatchObject(halted)
        else expect(Option.isNone(yield* Fiber.poll(program))).toBe(true)
      })
    )
  }

  test(
    "a program is ready again once the layer of a halted consumer has closed",
    Effect.gen(function*() {
      yield* relays(1)
      const failing = Consumer.layer({ name, from, retry, handle: () => Effect.fail("no") })
      expect((yield* Effect.provide(ended, failing))._tag).toBe("ConsumerHalted")
      yield* Consumer.ready
      yield* Effect.provide(
        Effect.flatMap(headOf, (head) => Consumer.awaitPosition(name, head)),
        Consumer.layer({ name, from, handle: () => Effect.void })
      )
    })
  )
}
