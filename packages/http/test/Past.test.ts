import { Command, History, Journal, PositionAhead, RelayNotFound } from "@caravel/domain"
import { Api, EventStream } from "@caravel/http"
import { Memory } from "@caravel/memory"
import { Consumer } from "@caravel/pubsub"
import { pubkey } from "@caravel/testing"
import * as HttpApiClient from "@effect/platform/HttpApiClient"
import { describe, expect, it } from "@effect/vitest"
import { Chunk, Effect, Fiber, Layer, Option, Schedule, Stream } from "effect"
import { administrator, get, mounted, onEach, send, url } from "./fixtures/served.js"

const alice = pubkey("alice")
const secret = "nostr+walletconnect://wallet?secret=5c4e"

const furnished = Effect.gen(function*() {
  const command = yield* Command
  yield* command.createTenant({ pubkey: alice, nwcUrl: secret })
  yield* command.createRelay({ id: "a", tenant: alice, subdomain: "a" })
  yield* command.updateRelay({ id: "a", plan: "growth" })
  yield* command.failRelaySync({ id: "a" }, "no disk")
})

describe("the past", () => {
  onEach(
    "a client gets what History answers",
    Effect.gen(function*() {
      yield* furnished
      const client = yield* HttpApiClient.make(Api, { baseUrl: yield* url })
      const history = yield* History
      const id = "a" as never
      const limit = 100
      const entries = yield* Effect.map(
        Stream.runCollect(history.events({ resourceType: "relay", resourceId: "a" })),
        Chunk.toReadonlyArray
      )
      expect(yield* client.history.relayHistory({ path: { id }, urlParams: { limit, order: "oldest" } })).toEqual({
        items: entries
      })
      const ofTenant = yield* client.history.tenantHistory({
        path: { pubkey: alice },
        urlParams: { limit, order: "newest" }
      })
      expect(ofTenant).toMatchObject({ items: [{ event: { _tag: "TenantCreated" } }] })
      const then = yield* client.history.relayHistory({
        path: { id },
        urlParams: { at: 3 as never, limit, order: "oldest" }
      })
      expect(Option.some(then)).toEqual(yield* history.relay("a", 3))
      const tenantThen = yield* client.history.tenantHistory({
        path: { pubkey: alice },
        urlParams: { at: 1 as never, limit, order: "oldest" }
      })
      expect(Option.some(tenantThen)).toEqual(yield* history.tenant(alice, 1))
      const diff = yield* client.history.diff({ urlParams: { from: 1 as never, to: 4 as never } })
      expect(diff.items).toEqual(yield* history.diff(1, 4))
      const [from, to] = ["2026-01-01", "2050-01-01"]
      const usage = yield* client.history.usage({ path: { pubkey: alice }, urlParams: { from, to } })
      expect(usage.items).toEqual(yield* history.usage(alice, from, to))
      // The plans may have changed within a millisecond, but the last one is in force.
      expect(usage.items.at(-1)).toMatchObject({ plan: "growth" })
      const ahead = yield* Effect.flip(client.history.diff({ urlParams: { from: 1 as never, to: 9 as never } }))
      expect(ahead).toEqual(new PositionAhead({ position: 9 as never, head: 4 as never }))
      const missing = yield* Effect.flip(
        client.history.relayHistory({ path: { id: "b" as never }, urlParams: { limit, order: "oldest" } })
      )
      expect(missing).toEqual(new RelayNotFound({ id: "b" as never }))
    })
  )

  onEach(
    "comes in pages, and never has a secret",
    Effect.gen(function*() {
      yield* furnished
      const first = yield* get("/v1/history/relays/a?order=newest&limit=2")
      expect(first.json.items.map(({ event }: any) => event.version)).toEqual([3, 2])
      const second = yield* get(`/v1/history/relays/a?order=newest&limit=2&cursor=${first.json.cursor}`)
      expect(second.json.items.map(({ event }: any) => event.version)).toEqual([1])
      expect(second.json).not.toHaveProperty("cursor")
      const texts = [
        yield* get(`/v1/history/tenants/${alice}`),
        yield* get(`/v1/history/tenants/${alice}?at=1`),
        yield* get("/v1/diff?from=0&to=4")
      ]
      for (const { status, text } of texts) expect([status, /5c4e/.test(text)]).toEqual([200, false])
      for (
        const [path, status] of [
          ["/v1/history/relays/a?at=1", 404],
          ["/v1/history/relays/b", 404],
          ["/v1/history/relays/a?at=9", 422],
          ["/v1/history/relays/a?at=tomorrow", 400],
          ["/v1/diff?from=0&to=1&resourceType=relay", 400],
          ["/v1/diff?from=0", 400],
          [`/v1/usage/${alice}?from=2026-02-01&to=2026-01-01`, 400]
        ] as const
      ) expect([path, (yield* get(path)).status]).toEqual([path, status])
    })
  )
})

describe("consumers", () => {
  onEach(
    "are shown, reset, and their parked activities dropped or replayed",
    Effect.gen(function*() {
      yield* furnished
      let broken = true
      const running = yield* Effect.fork(Consumer.run({
        name: "mail/1",
        from: "beginning",
        filter: { activityType: "update_relay" },
        retry: Schedule.stop,
        onFailure: "park",
        handle: () => broken ? Effect.fail(`no mail to ${secret}`) : Effect.void
      }))
      yield* Consumer.awaitPosition("mail/1", 4)
      const path = "/v1/consumers/mail%2F1"
      // PostgreSQL takes no such text.
      expect((yield* get("/v1/consumers/a%00b")).json).toMatchObject({ status: 400, issues: [{ path: "name" }] })
      const { json } = yield* get("/v1/consumers")
      expect(json.items).toMatchObject([{ name: "mail/1", status: "running", parked: 1, position: 4 }])
      const parked = yield* get(`${path}/parked`)
      expect(parked.json.items).toMatchObject([{
        activity: { position: 3 },
        error: expect.stringContaining("no mail")
      }])
      expect(parked.text).not.toMatch(/5c4e/)
      broken = false
      expect((yield* send("POST", `${path}/replay`)).json).toMatchObject({ name: "mail/1", parked: 0 })
      broken = true
      expect((yield* send("POST", `${path}/reset`, { body: { position: 2 } })).json).toMatchObject({ name: "mail/1" })
      yield* Consumer.awaitPosition("mail/1", 4)
      expect((yield* send("DELETE", `${path}/parked/3`)).status).toBe(204)
      expect((yield* send("DELETE", `${path}/parked/3`)).json).toMatchObject({ status: 404, position: 3 })
      yield* Fiber.interrupt(running)
      expect((yield* send("POST", `${path}/replay`)).json).toMatchObject({
        type: "urn:caravel:problem:consumer-not-running",
        status: 409
      })
      expect((yield* send("POST", `${path}/reset`, { body: { position: 9 } })).json.status).toBe(409)
      expect((yield* send("POST", `${path}/reset`, { body: { position: "x" } })).json.status).toBe(400)
      expect((yield* get("/v1/consumers/none")).json).toMatchObject({ status: 404, consumer: "none" })
    })
  )
})

describe("verify", () => {
  onEach(
    "answers its steps, and a last line that says that it is complete",
    Effect.gen(function*() {
      yield* furnished
      const { headers, status, text } = yield* send("POST", "/v1/verify")
      expect([status, headers.get("content-type")]).toEqual([200, "application/x-ndjson"])
      const lines = text.trim().split("\n").map((line) => JSON.parse(line))
      expect(lines.at(-2)).toMatchObject({ events: 4, head: 4, tenants: 1, relays: 1, differences: [] })
      expect(lines.at(-1)).toEqual({ complete: true, drifts: 0 })
    })
  )

  it.scopedLive("sends heartbeats, and ends when the credential is revoked", () => {
    let isValid = true
    const identity = { ...administrator, isValid: Effect.sync(() => isValid) }
    const endless = Layer.effect(Journal, Effect.map(Journal, (journal) => ({ ...journal, verify: Stream.never })))
    return Effect.gen(function*() {
      const base = yield* url
      const { body } = yield* Effect.promise(() => fetch(`${base}/v1/verify`, { method: "POST" }))
      let text = ""
      yield* Effect.promise(async () => {
        for await (const part of body!.pipeThrough(new TextDecoderStream())) {
          text += part
          if (text.startsWith("\n\n")) isValid = false
        }
      })
      expect(JSON.parse(text)).toMatchObject({ type: "urn:caravel:problem:unauthorized", reason: "unknown" })
    }).pipe(
      Effect.provide(
        Layer.provide(
          mounted(Layer.provideMerge(endless, Memory.layer), () => Effect.succeed(identity)),
          Layer.succeed(EventStream.Heartbeat, "10 millis")
        )
      )
    )
  }, 60_000)
})
