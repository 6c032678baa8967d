import { LongRun } from "@caravel/conformance"
import { ActivityFeed, Command, Journal, Query } from "@caravel/domain"
import { Consumer } from "@caravel/pubsub"
import { Sqlite } from "@caravel/sql"
import { Provisioner } from "@caravel/workers"
import { describe, expect, it } from "@effect/vitest"
import { Context, Deferred, Effect, Fiber, HashMap, Layer, Queue, Random, Stream } from "effect"
import * as fs from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { FakeHost } from "../src/FakeHost.js"
import { start } from "./fixtures/child.js"
import { asHosted, configuration, fakeHost } from "./world.js"

const rounds = Math.ceil(LongRun.count("CARAVEL_KILLS", { usual: 8, long: 1000 }) / 8)
const tenant = "c".repeat(64)

const temporaryDirectory = Effect.acquireRelease(
  Effect.promise(() => fs.mkdtemp(join(tmpdir(), "caravel-provisioner-"))),
  (path) => Effect.promise(() => fs.rm(path, { recursive: true }))
)

describe("a provisioner", () => {
  it.scopedLive(
    `killed ${rounds} times at random has brought every relay to the host`,
    () =>
      Effect.gen(function*() {
        const filename = join(yield* temporaryDirectory, "caravel.db")
        const moments = yield* Queue.sliding<void>(1_000)

        // The host loses one call in twenty, half of them after it has taken it.
        const { relays, url } = Context.get(
          yield* Layer.build(fakeHost(() =>
            Effect.gen(function*() {
              yield* Queue.offer(moments, undefined)
              if ((yield* Random.next) < 0.025) return yield* Effect.fail("lost")
            })
          )),
          FakeHost
        )
        const caravel = yield* Layer.build(Sqlite.layer({ filename }))
        // A call, what the host has received, and what is reported: after each of them, something remains to be done.
        yield* Context.get(caravel, ActivityFeed).live.pipe(
          Stream.filter(({ activityType }) => activityType.endsWith("_relay_sync")),
          Stream.runForEach(() => Queue.offer(moments, undefined)),
          Effect.forkScoped
        )
        const owner = Effect.map(Effect.provide(Consumer.lag(Provisioner.name), caravel), ({ owner }) => owner)

        const writer = yield* start("./writer.ts", [filename, tenant])
        const provisioner = start("../../src/bin.ts", [], {
          CARAVEL_DATABASE: filename,
          RELAY_HOST_URL: url.href,
          PROVISIONER_LEASE: "1 second"
        })

        // The owners of the lease when a process was killed. On a busy machine a lease may have expired, or not be taken yet; its
        // owner has been counted then.
        const owners = new Set<string>()
        let deaths = 0
        let working = yield* provisioner
        while (owners.size < rounds) {
          yield* Queue.takeAll(moments)
          yield* Queue.take(moments)
          const next = yield* provisioner
          // At once, while the next one starts or stands by, or much later.
          yield* Queue.takeN(moments, yield* Random.nextIntBetween(0, 60))
          const atWork = yield* owner
          if (atWork !== null) owners.add(atWork)
          expect((yield* working.kill).stderr).toBe("")
          deaths++
          working = next
        }
        // Nearly each time it was the one at work; a busy machine is allowed a few more.
        expect(deaths).toBeLessThanOrEqual(3 + rounds * 1.25)

        // Once there have been more relays than deaths, it is enough.
        yield* Context.get(caravel, ActivityFeed).since(0).pipe(
          Stream.filter(({ activityType }) => activityType === "create_relay"),
          Stream.take(rounds + 1),
          Stream.runDrain
        )
        expect(yield* writer.endInput).toEqual({ code: 0, stderr: "" })
        yield* Effect.gen(function*() {
          yield* Consumer.awaitPosition(Provisioner.name, yield* Effect.flatMap(Journal, ({ head }) => head))
          expect(yield* Consumer.parked(Provisioner.name)).toEqual([])
          const wanted = yield* Effect.flatMap(Query, (query) => query.relays)
          expect(wanted.filter(({ syncError, synced }) => !synced || syncError !== "")).toEqual([])
          const hosted = HashMap.map(yield* relays, configuration)
          expect(Object.fromEntries(hosted)).toEqual(
            Object.fromEntries(wanted.map((relay) => [relay.id, configuration(asHosted(relay))]))
          )
        }).pipe(Effect.provide(caravel))
        expect((yield* working.terminate).stderr).toBe("")
      }),
    LongRun.timeout(600_000)
  )

  it.scopedLive(
    "that is told to end lets the host answer, reports it, and releases its lease",
    () =>
      Effect.gen(function*() {
        const filename = join(yield* temporaryDirectory, "caravel.db")
        const calls = yield* Queue.unbounded<void>()
        const told = yield* Deferred.make<void>()
        const host = fakeHost((_, moment) =>
          moment === "received" ? Effect.zipRight(Queue.offer(calls, undefined), Deferred.await(told)) : Effect.void
        )
        const { url } = Context.get(yield* Layer.build(host), FakeHost)
        const caravel = yield* Layer.build(Sqlite.layer({ filename }))
        const command = Context.get(caravel, Command)
        yield* command.createTenant({ pubkey: tenant })
        for (const id of ["a", "b"]) yield* command.createRelay({ id, tenant, subdomain: id })
        const provisioner = yield* start("../../src/bin.ts", [], {
          CARAVEL_DATABASE: filename,
          RELAY_HOST_URL: url.href
        })
        yield* Queue.takeN(calls, 2)
        const ending = yield* Effect.fork(provisioner.terminate)
        yield* Effect.yieldNow()
        yield* Deferred.succeed(told, undefined)
        yield* Fiber.join(ending)
        const relays = yield* Effect.provide(Effect.flatMap(Query, (query) => query.relays), caravel)
        expect(relays.map(({ synced }) => synced)).toEqual([true, true])
        expect(yield* Effect.provide(Consumer.lag(Provisioner.name), caravel)).toMatchObject({
          owner: null,
          lastError: null
        })
        expect(yield* Queue.size(calls)).toBe(0)
      }),
    60_000
  )
})
