/** How long the services of a host wait for it, and how often they ask one that is away. */
import { Command, Journal } from "@caravel/domain"
import { nextTurn } from "@caravel/domain/adapter"
import { Problem, Remote, RequestError } from "@caravel/http"
import { Memory } from "@caravel/memory"
import { Consumer, Waiting } from "@caravel/pubsub"
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpServer from "@effect/platform/HttpServer"
import { describe, expect, it } from "@effect/vitest"
import { Chunk, Clock, Deferred, Duration, Effect, Fiber, Layer, Order, Stream, TestClock } from "effect"
import type { ServerResponse } from "node:http"
import { answering, empty } from "./fixtures/answering.js"
import { served } from "./fixtures/served.js"

const create = Effect.flatMap(Command, (command) => command.createTenant({ pubkey: "ab".repeat(32) }))

/** Waits until something happens outside of the program. */
const until = (holds: () => boolean) => Effect.repeat(nextTurn, { until: holds })

describe("a call that cannot be interrupted", () => {
  it.scoped.each([{ timeout: undefined, seconds: 70 }, { timeout: "10 minutes", seconds: 600 }] as const)(
    "ends after $seconds seconds if the host does not answer",
    ({ seconds, timeout }) =>
      Effect.gen(function*() {
        let asked = 0
        const url = yield* answering((request, response) => {
          if (request.method === "GET") empty(request, response)
          else asked++
        })
        yield* Effect.gen(function*() {
          const running = yield* Effect.fork(Effect.flip(Effect.uninterruptible(create)))
          yield* until(() => asked === 1)
          yield* TestClock.adjust(Duration.seconds(seconds - 1))
          expect(yield* Fiber.poll(running)).toMatchObject({ _tag: "None" })
          yield* TestClock.adjust("1 second")
          expect(yield* Fiber.join(running)).toMatchObject({
            reason: "unavailable",
            message: expect.stringContaining("the host does not answer")
          })
        }).pipe(Effect.provide(Remote.layer({ url, timeout, retryFor: 0 })))
      })
  )

  it.live("gets its answer also if it is interrupted", () =>
    Effect.gen(function*() {
      const url = yield* HttpServer.addressFormattedWith(Effect.succeed)
      const sent = yield* Deferred.make<void>()
      const answer = yield* Deferred.make<void>()
      const held = Layer.effect(
        HttpClient.HttpClient,
        Effect.map(
          HttpClient.HttpClient,
          HttpClient.transform((effect, request) =>
            request.method === "GET"
              ? effect
              : Deferred.succeed(sent, undefined).pipe(Effect.zipRight(Deferred.await(answer)), Effect.zipRight(effect))
          )
        )
      )
      const running = yield* Effect.uninterruptible(create).pipe(
        Effect.provide(Layer.provide(Remote.layerClient({ url }), held)),
        Effect.fork
      )
      yield* Deferred.await(sent)
      yield* Fiber.interruptFork(running)
      yield* nextTurn
      yield* Deferred.succeed(answer, undefined)
      yield* Fiber.await(running)
      expect(yield* Effect.flatMap(Journal, ({ head }) => head)).toBe(1)
    }).pipe(Effect.provide(served(Memory.layer))))
})

it.scoped.each([
  { operation: "command", running: create },
  { operation: "verification", running: Effect.flatMap(Journal, ({ verify }) => Stream.runDrain(verify)) }
])("a $operation beside an effect that fails is interrupted at once", ({ running }) =>
  Effect.gen(function*() {
    let asked = 0
    const url = yield* answering((request, response) => {
      if (request.method === "GET") return empty(request, response)
      asked++
      if (request.url === "/v1/verify") response.write("\n")
    })
    const fails = Effect.zipRight(until(() => asked === 1), Effect.fail("refused"))
    expect(
      yield* Effect.all([running, fails], { concurrency: "unbounded", discard: true }).pipe(
        Effect.flip,
        Effect.provide(Remote.layerOperator({ url }))
      )
    ).toBe("refused")
  }))

describe("a host that is away", () => {
  /** A clock on which all waiting ends at the next turn. */
  const hurried = (): Clock.Clock => {
    let now = 0
    return Object.assign(Object.create(Clock.make()), {
      unsafeCurrentTimeMillis: () => now,
      currentTimeMillis: Effect.sync(() => now),
      sleep: (duration: Duration.Duration) =>
        Effect.zipRight(Effect.sync(() => void (now += Duration.toMillis(duration))), nextTurn)
    })
  }

  it.scopedLive("is asked less and less often", () =>
    Effect.gen(function*() {
      let asked = 0
      const url = yield* answering((_, response) => {
        asked++
        response.writeHead(503).end()
      })
      const error = yield* Layer.build(Remote.layer({ url })).pipe(
        Effect.provideService(Waiting.Waiting, hurried()),
        Effect.flip
      )
      expect(error).toMatchObject({ reason: "unavailable" })
      // For half a minute.
      expect(asked).toBeGreaterThan(15)
      expect(asked).toBeLessThan(40)
    }))

  it.scoped("is asked less and less often for a stream that a proxy cuts off", () =>
    Effect.gen(function*() {
      let streams = 0
      const url = yield* answering((request, response) => {
        if (request.url === "/v1/activity/stream") streams++
        empty(request, response)
      })
      yield* Layer.build(Remote.layer({ url }))
      const pauses: Array<number> = []
      for (let count = 1; count < 10; count++) {
        // Those of answers are longer.
        const next = Effect.zipWith(TestClock.sleeps(), Clock.currentTimeMillis, (sleeps, now) =>
          Chunk.reduce(sleeps, Infinity, Order.min(Order.number)) - now)
        const pause = yield* Effect.zipRight(nextTurn, next).pipe(
          Effect.repeat({
            until: (pause) =>
              streams === count && pause < 10_000
          })
        )
        pauses.push(pause)
        yield* TestClock.adjust(Duration.millis(Math.ceil(pause)))
      }
      expect(pauses[0]).toBeLessThan(50)
      expect(pauses.at(-1)).toBeGreaterThan(1000)
    }))
})

it.scopedLive("a replay that takes longer than the host waits is not requested again", () =>
  Effect.gen(function*() {
    let asked = 0
    const url = yield* answering((request, response) => {
      if (request.method === "GET") return empty(request, response)
      asked++
      const problem = Problem.encode(new RequestError.TimedOut())
      response.writeHead(503, { "content-type": "application/problem+json" }).end(JSON.stringify(problem))
    })
    const error = yield* Effect.flip(Consumer.requestReplay("mail")).pipe(
      Effect.provide(Remote.layerOperator({ url, retryFor: "100 millis" }))
    )
    expect(error).toMatchObject({
      reason: "unavailable",
      message: expect.stringContaining("see whether it took effect")
    })
    expect(asked).toBe(1)
  }))

it.scoped("a verification takes as long as it likes, but not in silence", () =>
  Effect.gen(function*() {
    const line = JSON.stringify({ events: 1, head: 1, tenants: 0, relays: 0, secrets: 0, differences: [], clocks: [] })
    let answer: ServerResponse | undefined
    const url = yield* answering((request, response) => {
      if (request.url !== "/v1/verify") return empty(request, response)
      answer = response
      answer.write(`\n${line}\n\n`)
    })
    yield* Effect.gen(function*() {
      const { verify } = yield* Journal
      let steps = 0
      const running = yield* Stream.runForEach(verify, () => Effect.sync(() => void steps++)).pipe(
        Effect.flip,
        Effect.fork
      )
      yield* until(() => steps === 1)
      yield* TestClock.adjust("69 seconds")
      answer!.write(`\n${line}\n`)
      yield* until(() => steps === 2)
      yield* TestClock.adjust("69 seconds")
      expect(yield* Fiber.poll(running)).toMatchObject({ _tag: "None" })
      yield* TestClock.adjust("1 second")
      expect((yield* Fiber.join(running)).message).toContain("the host does not answer")
    }).pipe(Effect.provide(Remote.layerOperator({ url })))
  }))
