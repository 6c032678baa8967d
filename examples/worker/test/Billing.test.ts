import { Command, Journal, Pubkey, Query } from "@caravel/domain"
import { Sqlite } from "@caravel/sql"
import { describe, expect, it } from "@effect/vitest"
import { DateTime, Effect, Layer, Option, TestClock } from "effect"
import { Billing, InvoiceNotFound, MonthNotOver, UsageIncomplete, worker } from "../src/Billing.js"
import { Month } from "../src/Price.js"
import { at, instant } from "./at.js"
import { invoiced, metered } from "./usage.js"

const alice = Pubkey.make("a".repeat(64))
const bob = Pubkey.make("b".repeat(64))
const carol = Pubkey.make("c".repeat(64))
const january = Month.make("2026-01")
const february = Month.make("2026-02")

const idle = Layer.provideMerge(Billing.Default, Sqlite.layerTemporary)
const layer = Layer.provideMerge(worker(), idle)

/** Alice's relays change their plans and are switched off, Bob's is delinquent for a while, and Carol's is free. */
const scenario = Effect.gen(function*() {
  const command = yield* Command
  for (const pubkey of [alice, bob, carol]) yield* command.createTenant({ pubkey }).pipe(at("2025-12-01"))
  yield* command.createRelay({ id: "a1", tenant: alice, subdomain: "a1", plan: "basic" }).pipe(at("2025-12-10"))
  yield* command.createRelay({ id: "b1", tenant: bob, subdomain: "b1" }).pipe(at("2025-12-11"))
  yield* command.createRelay({ id: "c1", tenant: carol, subdomain: "c1" }).pipe(at("2025-12-12"))
  yield* command.updateRelay({ id: "b1", plan: "basic" }).pipe(at("2026-01-05"))
  yield* command.markRelayDelinquent({ id: "b1" }).pipe(at("2026-01-10T06:00:00Z"))
  yield* command.createRelay({ id: "a2", tenant: alice, subdomain: "a2", plan: "growth" }).pipe(at("2026-01-11"))
  yield* command.updateRelay({ id: "a1", infoName: "A" }).pipe(at("2026-01-12"))
  yield* command.updateRelay({ id: "a1", plan: "growth" }).pipe(at("2026-01-16"))
  yield* command.updateRelay({ id: "b1", plan: "growth" }).pipe(at("2026-01-17"))
  yield* command.activateRelay({ id: "b1" }).pipe(at("2026-01-20"))
  yield* command.deactivateRelay({ id: "a2" }).pipe(at("2026-01-21"))
  yield* command.deactivateRelay({ id: "a2" }).pipe(at("2026-01-22"))
  yield* command.updateRelay({ id: "b1", plan: "free" }).pipe(at("2026-01-31"))
  yield* command.updateRelay({ id: "a1", plan: "basic" }).pipe(at("2026-02-15"))
})

const statusOf = (id: string) =>
  Effect.map(Effect.flatMap(Query, (query) => query.relay(id)), Option.map(({ status }) => status))

const isPastDue = (pubkey: string) =>
  Effect.map(Effect.flatMap(Query, (query) => query.tenant(pubkey)), Option.map(({ pastDueAt }) => pastDueAt !== null))

const head = Effect.flatMap(Journal, ({ head }) => head)

describe("an invoice", () => {
  it.scoped("has the usage of its month and its cents, even if the worker starts late", () =>
    Effect.gen(function*() {
      const billing = yield* Billing
      yield* scenario
      yield* Layer.build(worker())
      yield* billing.closeMonth(january, instant("2026-02-01"))
      for (const tenant of [alice, bob, carol]) {
        expect(yield* invoiced(tenant, january)).toEqual(yield* metered(tenant, january))
      }
      const lines = yield* billing.invoiceLines({ tenant: alice, month: january })
      expect(lines.map(({ cents, plan, relay }) => [relay, plan, cents])).toEqual([
        // 15 of 31 days at 5.00 a month, 16 days at 25.00, and 10 days at 25.00.
        ["a1", "basic", 242],
        ["a1", "growth", 1_290],
        ["a2", "growth", 806]
      ])
      expect(yield* billing.invoices(alice)).toEqual([{
        tenant: alice,
        month: january,
        cents: 2_338,
        due: instant("2026-02-15"),
        overdue: null,
        paid: null
      }])
      expect(yield* billing.invoices(carol)).toEqual([])
    }).pipe(Effect.provide(idle)))

  it.scoped("is added once, whatever runs at the same time, and later usage is on the next one", () =>
    Effect.gen(function*() {
      const billing = yield* Billing
      yield* scenario
      yield* billing.closeMonth(january, instant("2026-02-01"))
      const before = yield* billing.invoices(alice)
      yield* Effect.forEach(
        [january, february, february],
        (month) => billing.closeMonth(month, instant("2026-03-01")),
        { concurrency: "unbounded" }
      )
      expect((yield* billing.invoices(alice)).slice(0, 1)).toEqual(before)
      for (const tenant of [alice, bob]) {
        expect(yield* invoiced(tenant, january)).toEqual(yield* metered(tenant, january))
        expect(yield* invoiced(tenant, february)).toEqual(yield* metered(tenant, february))
      }
      expect((yield* billing.invoices(alice)).map(({ cents }) => cents)).toEqual([2_338, 1_500])
      expect((yield* billing.invoices(bob)).length).toBe(1)
    }).pipe(Effect.provide(layer)))

  it.scoped("has no line for a plan of no duration", () =>
    Effect.gen(function*() {
      const billing = yield* Billing
      const command = yield* Command
      yield* Effect.gen(function*() {
        yield* command.createTenant({ pubkey: alice })
        yield* command.createRelay({ id: "a1", tenant: alice, subdomain: "a1", plan: "basic" })
        yield* command.updateRelay({ id: "a1", plan: "growth" })
        yield* command.deactivateRelay({ id: "a1" })
      }).pipe(at("2026-01-05"))
      yield* billing.closeMonth(january, instant("2026-02-01"))
      expect(yield* billing.invoices(alice)).toEqual([])
    }).pipe(Effect.provide(layer)))

  it.scoped("of 0 cents is paid, so that nothing becomes past due", () =>
    Effect.gen(function*() {
      const billing = yield* Billing
      const command = yield* Command
      yield* command.createTenant({ pubkey: alice }).pipe(at("2026-01-05"))
      yield* command.createRelay({ id: "a1", tenant: alice, subdomain: "a1", plan: "basic" }).pipe(at("2026-01-05"))
      yield* command.updateRelay({ id: "a1", plan: "free" }).pipe(at("2026-01-05T00:20:00Z"))
      const before = yield* head
      yield* billing.closeMonth(january, instant("2026-02-01"))
      yield* billing.collect(instant("2026-03-01"))
      expect((yield* billing.invoices(alice)).map(({ cents, overdue, paid }) => [cents, overdue, paid])).toEqual([
        [0, null, instant("2026-02-01")]
      ])
      expect([yield* statusOf("a1"), yield* isPastDue(alice), yield* head]).toEqual([
        Option.some("active"),
        Option.some(false),
        before
      ])
    }).pipe(Effect.provide(layer)))

  it.scoped("waits for the end of its month", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip((yield* Billing).closeMonth(january, instant("2026-01-31T23:59:59.999Z")))
      expect(error).toEqual(new MonthNotOver({ month: january }))
      expect(error.message).toBe("2026-01 is not over")
    }).pipe(Effect.provide(layer)))

  it.scoped("waits for the worker, but not forever", () =>
    Effect.gen(function*() {
      const billing = yield* Billing
      yield* scenario
      const error = yield* Effect.raceFirst(
        Effect.flip(billing.closeMonth(january, instant("2026-02-01"))),
        Effect.forever(TestClock.adjust("1 second"))
      )
      // The last activity of January is that before the last one.
      expect(error).toEqual(new UsageIncomplete({ month: january, position: (yield* head) - 1 }))
      expect(yield* billing.invoices(alice)).toEqual([])
    }).pipe(Effect.provide(idle)))
})

describe("an unpaid invoice", () => {
  const billed = Effect.gen(function*() {
    const billing = yield* Billing
    yield* scenario
    yield* billing.closeMonth(january, instant("2026-02-01"))
    return billing
  })

  it.scoped("makes its tenant past due and the active relays delinquent, once, until it is paid", () =>
    Effect.gen(function*() {
      const billing = yield* billed
      const { collect, pay } = billing
      const before = yield* head
      yield* collect(instant("2026-02-14T23:59:59.999Z"))
      expect(yield* head).toBe(before)
      yield* collect(instant("2026-02-15"))
      expect([yield* statusOf("a1"), yield* statusOf("a2")]).toEqual([
        Option.some("delinquent"),
        Option.some("inactive")
      ])
      expect([yield* isPastDue(alice), yield* isPastDue(carol)]).toEqual([Option.some(true), Option.some(false)])
      const collected = yield* head
      yield* collect(instant("2026-02-16"))
      expect(yield* head).toBe(collected)

      yield* pay(alice, january, instant("2026-02-17"))
      // The owner switched off `a2`, and Bob has not paid.
      expect([yield* statusOf("a1"), yield* statusOf("a2")]).toEqual([Option.some("active"), Option.some("inactive")])
      expect(yield* statusOf("b1")).toEqual(Option.some("delinquent"))
      expect([yield* isPastDue(alice), yield* isPastDue(bob)]).toEqual([Option.some(false), Option.some(true)])
      const paid = yield* head
      yield* pay(alice, january, instant("2026-02-18"))
      yield* collect(instant("2026-02-18"))
      expect(yield* head).toBe(paid)
      expect((yield* billing.invoices(alice)).map(({ overdue, paid }) => [overdue, paid])).toEqual([
        [instant("2026-02-15"), instant("2026-02-17")]
      ])
    }).pipe(Effect.provide(layer)))

  it.scoped("that is one of two keeps relays delinquent until both are paid", () =>
    Effect.gen(function*() {
      const { closeMonth, collect, pay } = yield* billed
      yield* collect(instant("2026-02-15"))
      yield* closeMonth(february, instant("2026-03-01"))
      yield* collect(instant("2026-03-15"))
      yield* pay(alice, january, instant("2026-03-16"))
      expect([yield* statusOf("a1"), yield* isPastDue(alice)]).toEqual([Option.some("delinquent"), Option.some(true)])
      yield* pay(alice, february, instant("2026-03-17"))
      expect([yield* statusOf("a1"), yield* isPastDue(alice)]).toEqual([Option.some("active"), Option.some(false)])
    }).pipe(Effect.provide(layer)))

  it.scoped("that is paid in time changes nothing else", () =>
    Effect.gen(function*() {
      const { collect, pay } = yield* billed
      for (const tenant of [alice, bob]) yield* pay(tenant, january, instant("2026-02-02"))
      const before = yield* head
      yield* collect(instant("2026-02-20"))
      expect(yield* head).toBe(before)
      expect(yield* Effect.flip(pay(carol, january, yield* DateTime.now))).toEqual(
        new InvoiceNotFound({ tenant: carol, month: january })
      )
    }).pipe(Effect.provide(layer)))
})
