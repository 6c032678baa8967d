import { LongRun } from "@caravel/conformance"
import { ActivityFeed, Command, Journal, type Position, Pubkey, Query } from "@caravel/domain"
import { Consumer } from "@caravel/pubsub"
import { Sqlite } from "@caravel/sql"
import { expect, it } from "@effect/vitest"
import { Chunk, DateTime, Effect, Fiber, Layer, Random, Stream } from "effect"
import * as fs from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Billing } from "../src/Billing.js"
import { Month } from "../src/Price.js"
import { at, instant } from "./at.js"
import { start } from "./fixtures/child.js"
import { invoiced, metered } from "./usage.js"

/** How often the worker is killed, and how often the job is. */
const rounds = Math.ceil(LongRun.count("CARAVEL_KILLS", { usual: 12, long: 1000 }) / 4)
const january = Month.make("2026-01")
const later = "2026-02-20T00:00:00.000Z"

const temporaryDirectory = Effect.acquireRelease(
  Effect.promise(() => fs.mkdtemp(join(tmpdir(), "caravel-billing-"))),
  (path) => Effect.promise(() => fs.rm(path, { recursive: true }))
)

const tenants = Array.from({ length: 6 * rounds }, (_, n) => Pubkey.make(n.toString(16).padStart(64, "0")))
const relays = tenants.map((tenant, n) => ({ id: `r${n}`, tenant, subdomain: `r${n}`, plan: "basic" }))

/** The changes of January. */
const changes = 30 * rounds

/** Makes a random change to a random relay; `n` of `changes`, from the beginning of January to its end. */
const change = (n: number) =>
  Effect.gen(function*() {
    const command = yield* Command
    const { id } = yield* Random.choice(relays)
    return yield* yield* Random.choice([
      command.updateRelay({ id, plan: "growth" }),
      command.updateRelay({ id, plan: yield* Random.choice(["free", "basic", "growth"]) }),
      command.updateRelay({ id, infoName: `change ${n}` }),
      command.deactivateRelay({ id }),
      command.markRelayDelinquent({ id }),
      command.activateRelay({ id })
    ])
  }).pipe(at(DateTime.formatIso(DateTime.unsafeMake(Date.UTC(2026, 0, 1) + n * 31 * 86_400_000 / changes))))

/** How often the journal has an event after a position, by relay. */
const eventsAfter = Effect.fnUntraced(function*(position: Position, tag: string) {
  const counts: Record<string, number> = {}
  for (const event of yield* (yield* Journal).read(position, Number.MAX_SAFE_INTEGER)) {
    if (event._tag === tag) counts[event.resourceId] = (counts[event.resourceId] ?? 0) + 1
  }
  return counts
})

/** The ids of the relays that have a status, each once. */
const onceEach = (status: string) =>
  Effect.map(
    Effect.flatMap(Query, (query) => query.relays),
    (relays) => Object.fromEntries(relays.flatMap((relay) => relay.status === status ? [[relay.id, 1]] : []))
  )

it.scopedLive(
  `a worker and a job that are killed ${rounds} times each bill everything once`,
  () =>
    Effect.gen(function*() {
      const filename = join(yield* temporaryDirectory, "caravel.db")
      const env = { CARAVEL_DATABASE: filename, BILLING_LEASE: "500 millis" }
      const worker = start("../../src/worker.ts", [], env)
      const job = start("../../src/bill.ts", [january, later], env)
      const caravel = yield* Layer.build(Layer.provideMerge(Billing.Default, Sqlite.layer({ filename })))

      yield* Effect.gen(function*() {
        const command = yield* Command
        const feed = yield* ActivityFeed
        const journal = yield* Journal
        const billing = yield* Billing
        yield* command.submit([
          ...tenants.map((pubkey) => ({ _tag: "CreateTenant" as const, pubkey })),
          ...relays.map((relay) => ({ _tag: "CreateRelay" as const, ...relay }))
        ]).pipe(at("2025-12-20"))
        const created = yield* journal.head

        // Never far ahead of the worker, so that it has something to do whenever it is killed.
        const writing = yield* Effect.fork(Effect.gen(function*() {
          for (let n = 0; n < changes; n++) {
            const { position } = yield* change(n)
            yield* Consumer.awaitPosition("billing", Math.max(0, position - 40))
          }
        }))
        let working = yield* worker
        for (let round = 0; round < rounds; round++) {
          const moment = created + 30 * round + (yield* Random.nextIntBetween(0, 20))
          yield* Stream.runHead(Stream.filter(feed.since(created), ({ position }) => position >= moment))
          yield* Consumer.awaitPosition("billing", moment)
          const next = yield* worker
          expect((yield* working.kill).stderr).toBe("")
          working = next
        }
        yield* Fiber.join(writing)
        const written = yield* journal.head
        const active = yield* onceEach("active")

        let killed = 0
        for (let round = 0; round < rounds; round++) {
          const billing = yield* job
          // When it has just added an invoice, and later when one was found to be past due. A fast job may have ended since.
          const moment = round < rounds / 2 ? january : "past due"
          yield* Effect.raceFirst(billing.writes(moment), billing.ended)
          const { code, stderr } = yield* billing.kill
          expect(stderr).toBe("")
          if (code === null) killed++
        }
        expect(killed).toBeGreaterThan(rounds / 4)
        expect(yield* Effect.flatMap(job, ({ ended }) => ended)).toEqual({ code: 0, stderr: "" })
        const collected = yield* journal.head

        const billed = new Set<string>()
        for (const tenant of tenants) {
          const lines = yield* invoiced(tenant, january)
          expect(lines).toEqual(yield* metered(tenant, january))
          if (lines.length > 0) billed.add(tenant)
          expect((yield* billing.invoices(tenant)).map(({ month, overdue }) => [month, overdue])).toEqual(
            lines.length > 0 ? [[january, instant(later)]] : []
          )
        }
        const owing = new Set(relays.flatMap(({ id, tenant }) => billed.has(tenant) ? [id] : []))
        const ofOwing = (counts: Record<string, number>) =>
          Object.fromEntries(Object.entries(counts).filter(([id]) => owing.has(id)))
        expect(yield* eventsAfter(written, "RelayMarkedDelinquent")).toEqual(ofOwing(active))

        const pastDue = (yield* (yield* Query).tenants).filter(({ pastDueAt }) => pastDueAt !== null)
        expect(pastDue.map(({ pubkey }) => pubkey)).toEqual([...billed])

        const delinquent = ofOwing(yield* onceEach("delinquent"))
        for (const tenant of [...billed, ...billed]) yield* billing.pay(tenant, january, instant(later))
        expect(yield* eventsAfter(collected, "RelayActivated")).toEqual(delinquent)
        expect((yield* (yield* Query).tenants).filter(({ pastDueAt }) => pastDueAt !== null)).toEqual([])

        yield* Consumer.awaitPosition("billing", yield* journal.head)
        const steps = yield* Stream.runCollect(journal.verify)
        expect(Chunk.toReadonlyArray(steps).flatMap(({ differences }) => differences)).toEqual([])
        expect((yield* working.terminate).stderr).toBe("")
      }).pipe(Effect.provide(caravel))
    }),
  LongRun.timeout(600_000)
)
