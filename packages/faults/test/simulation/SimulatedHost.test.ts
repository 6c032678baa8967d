import { expect, it } from "@effect/vitest"
import { Clock, Effect, Fiber } from "effect"
import { type Options, Process, SimulatedHost } from "../../src/simulation/SimulatedHost.js"

const options: Options = { seed: 1, order: "random", preemption: 0, maxTurns: 100_000 }

/** Lets simulated time pass, which takes no time. */
// eslint-disable-next-line no-restricted-syntax
const pass = (millis: number) => Effect.delay(Effect.void, millis)

/** Runs an effect in a simulation. Returns its result, and how the simulation ended. */
const simulated = async <A>(
  { host = new SimulatedHost(options), process }: { readonly host?: SimulatedHost; readonly process?: Process },
  effect: Effect.Effect<A>
) => {
  const restore = host.install()
  try {
    let result: { readonly value: A } | undefined
    const fiber = Effect.runFork(Effect.map(effect, (value) => void (result = { value })), {
      scheduler: host.schedulerOf(process)
    })
    let ended = false
    fiber.addObserver(() => {
      ended = true
    })
    const end = await host.run(() => ended)
    return { end, value: result?.value }
  } finally {
    restore()
  }
}

/** The order in which some fibers append to a list, each several times. */
const interleaved = Effect.suspend(() => {
  const order: Array<number> = []
  const each = (id: number) => Effect.repeatN(Effect.zipRight(Effect.sync(() => order.push(id)), Effect.yieldNow()), 5)
  return Effect.as(Effect.forEach([1, 2, 3], each, { concurrency: "unbounded" }), order)
})

const orderOf = async (seed: number, order: Options["order"] = "random") =>
  (await simulated({ host: new SimulatedHost({ ...options, seed, order }) }, interleaved)).value

it("the same seed chooses the same fibers, and another seed others", async () => {
  expect(await orderOf(1)).toEqual(await orderOf(1))
  const orders = new Set<string>()
  for (let seed = 0; seed < 10; seed++) orders.add(String(await orderOf(seed)))
  expect(orders.size).toBeGreaterThan(5)
  expect(await orderOf(1, "fifo")).toEqual(await orderOf(2, "fifo"))
})

it("a fiber that never yields is preempted", async () => {
  const host = new SimulatedHost({ ...options, preemption: 10 })
  let count = 0
  const busy = Effect.forever(Effect.sync(() => count++))
  const result = await simulated(
    { host },
    Effect.gen(function*() {
      const fiber = yield* Effect.fork(busy)
      yield* Effect.yieldNow()
      yield* Effect.yieldNow()
      yield* Fiber.interrupt(fiber)
      return count
    })
  )
  expect(result.value).toBeGreaterThan(0)
})

it("time passes only when nothing is ready, and at once", async () => {
  const { value } = await simulated(
    {},
    Effect.gen(function*() {
      const start = yield* Clock.currentTimeMillis
      const order: Array<string> = []
      const after = (millis: number) => Effect.zipRight(pass(millis), Effect.sync(() => order.push(`${millis}`)))
      yield* Effect.all([after(3_600_000), after(5), after(60_000)], { concurrency: "unbounded" })
      return { order, passed: (yield* Clock.currentTimeMillis) - start }
    })
  )
  expect(value).toEqual({ order: ["5", "60000", "3600000"], passed: 3_600_000 })
})

it("the wall clock jumps, and sleeping fibers do not notice", async () => {
  const host = new SimulatedHost(options)
  const { value } = await simulated(
    { host },
    Effect.gen(function*() {
      const start = yield* Clock.currentTimeMillis
      const monotonic = performance.now()
      host.wallOffset -= 3_600_000
      yield* pass(1000)
      return [(yield* Clock.currentTimeMillis) - start, Math.round(performance.now() - monotonic)]
    })
  )
  expect(value).toEqual([1000 - 3_600_000, 1000])
})

it("a suspended process does nothing, and its timers come due later", async () => {
  const host = new SimulatedHost(options)
  const process = new Process("suspended")
  const { value } = await simulated(
    { host },
    Effect.gen(function*() {
      const start = performance.now()
      const fiber = yield* Effect.withScheduler(
        Effect.fork(Effect.map(pass(10), () => Math.round(performance.now() - start))),
        host.schedulerOf(process)
      )
      yield* pass(1)
      host.suspend(process, 500)
      yield* pass(100)
      return yield* Fiber.join(fiber)
    })
  )
  expect(value).toBe(501)
})

it("a program that waits for nothing is stuck, and one that never ends is endless", async () => {
  expect((await simulated({}, Effect.never)).end).toBe("stuck")
  const host = new SimulatedHost({ ...options, maxTurns: 1000 })
  expect((await simulated({ host }, Effect.forever(Effect.yieldNow()))).end).toBe("endless")
})

it("the host is restored", async () => {
  const before = [setTimeout, setImmediate, Date.now, performance.now, Math.random, crypto.randomUUID]
  await simulated({}, Effect.void)
  expect([setTimeout, setImmediate, Date.now, performance.now, Math.random, crypto.randomUUID]).toEqual(before)
})
