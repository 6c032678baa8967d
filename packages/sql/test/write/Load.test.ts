import { Command, CreateRelay, Journal, Position } from "@caravel/domain"
import { Sqlite } from "@caravel/sql"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Metric, type MetricState, Option, Schema, Tracer } from "effect"
import { readFile } from "node:fs/promises"
import { fileURLToPath } from "node:url"
import * as Metrics from "../../src/write/Metrics.js"
import { held } from "../fixtures/held.js"

const pubkey = "a".repeat(64)
const relay = (id: string) => ({ id, tenant: pubkey, subdomain: id.toLowerCase() })
const ids = (prefix: string, count: number) => Array.from({ length: count }, (_, index) => `${prefix}${index}`)

const creation = (id: string) => Schema.decodeSync(CreateRelay)({ _tag: "CreateRelay", ...relay(id) })

const created = Effect.flatMap(Command, (command) => command.createTenant({ pubkey }))

const upTo256 = ({ buckets }: MetricState.MetricState.Histogram) => new Map(buckets).get(256)!

/** The batches that an effect causes: their number, their commands, and how many had more than 256. Metrics outlive a test. */
const batchesOf = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const before = yield* Metric.value(Metrics.batchCommands)
    yield* effect
    const after = yield* Metric.value(Metrics.batchCommands)
    const batches = after.count - before.count
    return {
      batches,
      commands: after.sum - before.sum,
      larger: batches - (upTo256(after) - upTo256(before))
    }
  })

const outcomes = (command: string, outcome: string) =>
  Metric.value(
    Metric.counter("caravel_commands_total", {
      description: "commands by name, and by outcome: accepted, or the tag of the error",
      incremental: true
    }).pipe(Metric.tagged("command", command), Metric.tagged("outcome", outcome))
  ).pipe(Effect.map(({ count }) => count))

describe("under load, the writer", () => {
  it.scopedLive("commits at most 256 commands together", () =>
    Effect.gen(function*() {
      const command = yield* Command
      yield* created
      const load = Effect.flatMap(
        held(Effect.forEach(ids("r", 1024), (id) => Effect.fork(command.createRelay(relay(id))))),
        Fiber.joinAll
      )
      // Four batches of at most 256 commands are four of 256.
      expect(yield* batchesOf(load)).toEqual({ batches: 4, commands: 1024, larger: 0 })
    }).pipe(Effect.provide(Sqlite.layerTemporary)))

  it.scopedLive("commits at most a million characters together", () =>
    Effect.gen(function*() {
      const command = yield* Command
      yield* created
      const infoDescription = "x".repeat(60_000)
      const load = Effect.flatMap(
        held(Effect.forEach(ids("r", 60), (id) => Effect.fork(command.createRelay({ ...relay(id), infoDescription })))),
        Fiber.joinAll
      )
      const { batches, commands } = yield* batchesOf(load)
      expect(commands).toBe(60)
      expect(batches).toBeGreaterThanOrEqual(4)
    }).pipe(Effect.provide(Sqlite.layerTemporary)))

  it.scopedLive("commits huge submissions as a whole, among small ones that come meanwhile", () =>
    Effect.gen(function*() {
      const command = yield* Command
      const journal = yield* Journal
      yield* created
      const huge = (prefix: string) => command.submit(ids(prefix, 1000).map((id) => creation(id)))
      const fibers = yield* held(Effect.all([
        Effect.fork(huge("a")),
        Effect.fork(command.createRelay(relay("first"))),
        Effect.fork(huge("b")),
        Effect.fork(command.createRelay(relay("second"))),
        Effect.fork(huge("c"))
      ]))
      for (const exit of yield* Effect.forEach(fibers, (fiber) => Fiber.await<unknown, unknown>(fiber))) {
        expect(Exit.isSuccess(exit)).toBe(true)
      }
      const events = yield* journal.read(Position.make(1), 4000)
      // Decoding a long list yields, so that a single command may overtake it.
      const units = events.map(({ resourceId }) => resourceId.replace(/\d+$/, ""))
      expect(units.filter((unit, n) => unit !== units[n - 1]).sort()).toEqual(["a", "b", "c", "first", "second"])
      expect(units.length).toBe(3 * 1000 + 2)
    }).pipe(Effect.provide(Sqlite.layerTemporary)))

  it.scopedLive("lets files, sockets and timers proceed while callers send without pause", () =>
    Effect.gen(function*() {
      const command = yield* Command
      yield* created
      yield* command.createRelay(relay("a"))
      let commands = 0
      let reading = true
      const callers = yield* Effect.fork(Effect.all(
        Array.from({ length: 64 }, () =>
          Effect.whileLoop({
            while: () => reading && commands++ < 50_000,
            body: () => command.activateRelay({ id: "a" }),
            step: () => {}
          })),
        { concurrency: "unbounded", discard: true }
      ))
      const file = fileURLToPath(import.meta.url)
      for (let read = 0; read < 20; read++) yield* Effect.promise(() => readFile(file))
      reading = false
      yield* Fiber.join(callers)
      expect(commands).toBeLessThan(50_000)
    }).pipe(Effect.provide(Sqlite.layerTemporary)))

  it.scopedLive("counts commands by name and outcome, in metrics", () =>
    Effect.gen(function*() {
      const command = yield* Command
      yield* created
      const count = () =>
        Effect.all([
          outcomes("CreateRelay", "accepted"),
          outcomes("CreateRelay", "SubdomainTaken"),
          outcomes("CreateRelay", "ParseError"),
          Effect.map(Metric.value(Metrics.commitSeconds), (state) => state.count)
        ])
      const before = yield* count()
      yield* command.createRelay(relay("a"))
      yield* command.submit([creation("b")])
      yield* Effect.flip(command.createRelay({ ...relay("c"), subdomain: "a" }))
      yield* Effect.flip(command.createRelay({ ...relay("d"), subdomain: "-" }))
      const after = yield* count()
      expect(after.map((value, index) => value - before[index]!)).toEqual([2, 1, 1, 3])
      expect((yield* Metric.value(Metrics.queueDepth)).value).toBe(0)
    }).pipe(Effect.provide(Sqlite.layerTemporary)))
})

describe("under a tracer", () => {
  const spans: Array<Tracer.Span> = []
  const native = Effect.runSync(Effect.tracer)
  const tracer = Tracer.make({
    span: (...parameters) => {
      const span = native.span(...parameters)
      spans.push(span)
      return span
    },
    context: (f) => f()
  })

  it.scopedLive("each command has a span, linked to its batch's", () =>
    Effect.gen(function*() {
      const command = yield* Command
      yield* created
      spans.length = 0
      const fibers = yield* held(Effect.forEach(ids("r", 3), (id) => Effect.fork(command.createRelay(relay(id)))))
      yield* Fiber.joinAll(fibers)
      const batches = spans.filter(({ name }) => name === "SqlWriter.batch")
      expect(batches.map(({ attributes }) => attributes.get("caravel.commands"))).toEqual([3])
      const commands = spans.filter(({ name }) => name === "Command.createRelay")
      expect(commands.map(({ links }) => links.map(({ span }) => span.spanId))).toEqual(
        ids("", 3).map(() => [batches[0]!.spanId])
      )
      expect(commands.every(({ status }) => status._tag === "Ended")).toBe(true)
      const transaction = spans.find(({ name, parent }) =>
        name === "sql.transaction" && Option.exists(parent, ({ spanId }) => spanId === batches[0]!.spanId)
      )
      expect(transaction).toBeDefined()
    }).pipe(Effect.provide(Layer.provideMerge(Sqlite.layerTemporary, Layer.setTracer(tracer)))))

  it.scopedLive("without a tracer, no spans are created", () =>
    Effect.gen(function*() {
      spans.length = 0
      yield* created
      expect(spans).toEqual([])
    }).pipe(Effect.provide(Sqlite.layerTemporary)))
})
