/** What consumers report through logs, metrics and traces. */
import type { Activity } from "@caravel/domain"
import { Consumer, ConsumerStore } from "@caravel/pubsub"
import { expect } from "@effect/vitest"
import { Deferred, Effect, Fiber, type Layer, Schedule, type Tracer } from "effect"
import { log, modes, positions, readUntil, relays, timed, times } from "./consumer.js"
import { type Services, specs } from "./fixture.js"
import { passUntil, seize } from "./leasing.js"
import { consumerMetric, Observer } from "./observer.js"

const from = "beginning"

/** Metrics outlive a test, so every consumer here has its own name. */
let names = 0
const newName = () => `observed-${names++}`

const linked = (spans: ReadonlyArray<Tracer.Span>) =>
  spans.map(({ links }) => links.map(({ span: { spanId, traceId } }) => ({ spanId, traceId })))

const idsOf = (spans: ReadonlyArray<Tracer.Span>) => spans.map(({ spanId, traceId }) => ({ spanId, traceId }))

export const observing = <E>(layer: Layer.Layer<Services, E>) => {
  const test = specs(layer)
  const slow = timed(layer)

  for (const options of modes) {
    test(
      `a consumer that halts: ${JSON.stringify(options)}`,
      Effect.gen(function*() {
        const name = newName()
        const { logs, observe, spans } = new Observer()
        yield* observe(relays(1))
        const metric = (metric: string) => consumerMetric(name, metric)
        const fails = ({ position }: Activity) => position === 2 ? Effect.fail("no") : Effect.void
        const run = Consumer.run({ name, from, retry: Schedule.recurs(2), handle: fails, ...options })
        yield* Effect.flip(observe(run))
        expect(logs("ERROR")).toEqual([
          `Consumer ${name} failed at position 2 (create_relay of relay r0), attempt 3, and halts: no`
        ])
        const [createTenant, createRelay] = idsOf([
          ...spans("Command.createTenant"),
          ...spans("Command.createRelay")
        ])
        expect(linked(spans("Consumer.handle"))).toEqual([[createTenant], [createRelay], [createRelay], [createRelay]])
        expect(linked(spans("Consumer.halt"))).toEqual([[createRelay]])
        expect(spans("Consumer.halt")[0]!.attributes.get("caravel.position")).toBe(2)
        const values = () =>
          ["halted", "attempts", "failed_total", "retried_total", "handled_total", "lease_held"].map(metric)
        expect(values()).toEqual([1, 3, 3, 2, 1, 0])
        // It runs again.
        yield* Effect.fork(Consumer.run({ name, from, handle: () => Effect.void, ...options }))
        yield* Consumer.awaitPosition(name, 2)
        yield* readUntil(() => metric("handled_total") === 2)
        expect(values()).toEqual([0, 0, 3, 2, 2, 1])
      })
    )

    test(
      `the attempts at an activity, until it is handled: ${JSON.stringify(options)}`,
      Effect.gen(function*() {
        const name = newName()
        yield* relays(1)
        const [first] = yield* positions()
        const seen: Array<readonly [position: number, attempts: number]> = []
        yield* Consumer.handleOnce({
          name,
          from,
          retry: Schedule.recurs(2),
          handle: ({ position }) =>
            Effect.suspend(() => {
              seen.push([position, consumerMetric(name, "attempts")])
              return position === first && seen.length < 3 ? Effect.fail("not yet") : Effect.void
            }),
          ...options,
          ...(options.concurrency === undefined ? {} : { concurrency: 1 })
        })
        // In a transaction, an activity is done only when the transaction is committed.
        const after = options.transactional === true ? 2 : 0
        expect(seen).toEqual([[first, 0], [first, 1], [first, 2], [first! + 1, after]])
        expect(consumerMetric(name, "attempts")).toBe(0)
      })
    )

    test(
      `an activity that is parked, and others of its resource behind it: ${JSON.stringify(options)}`,
      Effect.gen(function*() {
        const name = newName()
        const { logs, observe, spans } = new Observer()
        yield* observe(relays(2))
        yield* log(["r0", "r1", "r0"])
        const all = yield* positions()
        const metric = (metric: string) => consumerMetric(name, metric)
        const handle = ({ position }: Activity) => position === 2 ? Effect.fail("no") : Effect.void
        const run = Consumer.run({ name, from, retry: Schedule.stop, onFailure: "parkResource", handle, ...options })
        const running = yield* Effect.fork(observe(run))
        yield* Consumer.awaitPosition(name, all.at(-1)!)
        yield* readUntil(() => metric("handled_total") + metric("parked_total") === all.length)
        expect(logs("WARN")).toEqual([
          `Consumer ${name} failed at position 2 (create_relay of relay r0), attempt 1, and parks it: no`
        ])
        expect(linked(spans("Consumer.park"))).toEqual([idsOf(spans("Command.createRelay").slice(0, 1))])
        expect(["parked_total", "handled_total", "failed_total", "attempts", "halted", "lease_held"].map(metric))
          .toEqual([3, all.length - 3, 1, 0, 0, 1])
        yield* Fiber.interrupt(running)
        expect(metric("lease_held")).toBe(0)
        // Spans of replays are linked too.
        const handles = spans("Consumer.handle").length
        yield* observe(Consumer.replay({ name, handle: () => Effect.void, transactional: options.transactional }))
        expect(linked(spans("Consumer.handle").slice(handles))[0]).toEqual(
          idsOf(spans("Command.createRelay")).slice(0, 1)
        )
        expect(metric("handled_total")).toBe(all.length)
      })
    )
  }

  slow(
    "a lease that moves to another process and back",
    Effect.gen(function*() {
      const name = newName()
      const { leases } = yield* ConsumerStore.ConsumerStore
      const { logs, observe, spans } = new Observer()
      yield* relays(1)
      const metric = (metric: string) => consumerMetric(name, metric)
      const lost = () => [metric("lease_held"), logs("WARN").length, spans("Consumer.leaseLost").length]
      yield* Effect.fork(observe(Consumer.run({ name, from, handle: () => Effect.void })))
      yield* Consumer.awaitPosition(name, 2)
      expect(lost()).toEqual([1, 0, 0])
      const lease = yield* seize(name)
      yield* passUntil(() => logs("WARN").length + spans("Consumer.leaseLost").length === 2)
      expect(lost()).toEqual([0, 1, 1])
      yield* leases.release(lease)
      yield* log(["r0"])
      yield* passUntil(() => metric("handled_total") === 3)
      expect(lost()).toEqual([1, 1, 1])
      expect(logs("WARN")).toEqual([
        `Consumer ${name} has lost its lease: another process has taken it over, or the consumer was reset`
      ])
      expect(logs("INFO")).toEqual([
        `Consumer ${name} holds its lease, and continues after position 0`,
        `Consumer ${name} waits for its lease, which another process holds, or held when it was killed`,
        `Consumer ${name} holds its lease, and continues after position 2`
      ])
      expect(spans("Consumer.leaseAcquired").length).toBe(2)
    })
  )

  slow(
    "how far a consumer is behind",
    Effect.gen(function*() {
      const name = newName()
      yield* relays(1)
      yield* log(times(8))
      const all = yield* positions()
      const metric = (metric: string) => consumerMetric(name, metric)
      const gate = yield* Deferred.make<void>()
      yield* Effect.fork(Consumer.run({
        name,
        from,
        filter: { resourceId: "r0" },
        handle: () => Deferred.await(gate)
      }))
      yield* passUntil(() => metric("lag_activities") === all.length - 1)
      yield* passUntil(() => metric("lag_seconds") >= 9)
      yield* Deferred.succeed(gate, undefined)
      yield* Consumer.awaitPosition(name, all.at(-1)!)
      yield* passUntil(() => metric("lag_activities") === 0 && metric("lag_seconds") === 0)
    })
  )
}
