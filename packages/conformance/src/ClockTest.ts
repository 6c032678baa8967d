/** Proves that an adapter uses its caller's clock, so that a `TestClock` moves it. */
import { Command, History, Query } from "@caravel/domain"
import { defaultIdempotencyKeysKept } from "@caravel/domain/adapter"
import { Consumer } from "@caravel/pubsub"
import { describe, expect, it } from "@effect/vitest"
import { Duration, Effect, type Layer, Option, Schedule, type Scope, TestClock } from "effect"
import { until } from "./internal/consumer.js"
import { alice, day, journalAfter, plain, type Services } from "./internal/fixture.js"

/**
 * Proves that instants of events and rows, bills, the past, the expiry of idempotency keys, and the retries of consumers
 * follow the `TestClock`.
 *
 * @since 0.1.0
 * @category suites
 */
export const suite = <E>(name: string, layer: Layer.Layer<Services, E>): void => {
  describe(`Clock: ${name}`, () => {
    const test = <A, E2>(name: string, body: Effect.Effect<A, E2, Services | Scope.Scope>) =>
      it.effect(name, () => body.pipe(Effect.scoped, Effect.provide(layer)), 60_000)

    test(
      "events, rows, bills and the past have the instants of the clock",
      Effect.gen(function*() {
        const command = yield* Command
        yield* TestClock.setTime(Date.parse(day(0)))
        yield* command.createTenant({ pubkey: alice })
        yield* command.createRelay({ id: "a", tenant: alice, subdomain: "a" })
        yield* TestClock.adjust("1 day")
        yield* command.deactivateRelay({ id: "a" })
        yield* TestClock.adjust("1 day")
        yield* command.setTenantPastDue(alice)

        expect(plain(yield* journalAfter()).map((event) => event.createdAt)).toEqual([0, 0, 1, 2].map(day))
        const query = yield* Query
        expect(plain(yield* query.tenants)).toMatchObject([{ createdAt: day(0), pastDueAt: day(2) }])
        const history = yield* History
        expect(plain(yield* history.usage(alice, day(0), day(9)))).toMatchObject([{ from: day(0), to: day(1) }])
        const before = yield* history.relay("a", day(0))
        expect(Option.map(before, ({ status }) => status)).toEqual(Option.some("active"))
      })
    )

    test(
      "an idempotency key expires by the clock",
      Effect.gen(function*() {
        const command = yield* Command
        yield* command.createTenant({ pubkey: alice })
        const set = Command.withIdempotencyKey("key")(command.setTenantPastDue(alice))
        yield* set
        yield* TestClock.adjust(Duration.subtract(defaultIdempotencyKeysKept, "1 millis"))
        yield* set
        expect((yield* journalAfter()).length).toBe(2)
        yield* TestClock.adjust("1 millis")
        yield* set
        expect((yield* journalAfter()).length).toBe(3)
      })
    )

    test(
      "a consumer retries by the clock",
      Effect.gen(function*() {
        yield* (yield* Command).createTenant({ pubkey: alice })
        let attempts = 0
        yield* Effect.fork(Consumer.run({
          name: "c",
          from: "beginning",
          retry: Schedule.spaced("1 hour"),
          handle: () => Effect.suspend(() => ++attempts < 3 ? Effect.fail("not yet") : Effect.void)
        }))
        yield* until(() => attempts === 1)
        yield* TestClock.adjust("59 minutes")
        expect(attempts).toBe(1)
        while (attempts < 3) yield* TestClock.adjust("1 minute")
        yield* Consumer.awaitPosition("c", 1)
        expect(yield* Consumer.lag("c")).toMatchObject({ activities: 0, attempts: 0 })
      })
    )
  })
}
