import { ActivityFeed, Command, Journal } from "@caravel/domain"
import { EventStream } from "@caravel/http"
import { Memory } from "@caravel/memory"
import { pubkey } from "@caravel/testing"
import { describe, expect, it } from "@effect/vitest"
import { Chunk, Deferred, Effect, Exit, Fiber, FiberId, Layer, Scope, Stream } from "effect"
import { createServer, type Server as HttpServer } from "node:http"
import { type AddressInfo, connect, type Socket } from "node:net"
import { administrator, get, mounted, onEach, served, url } from "./fixtures/served.js"

const alice = pubkey("alice")
const bob = pubkey("bob")

/** An open stream: what has arrived, and waiting for more. */
const open = (query: string, headers: Record<string, string> = {}) =>
  Effect.gen(function*() {
    const base = yield* url
    const response = yield* Effect.acquireRelease(
      Effect.promise((signal) => fetch(`${base}/v1/activity/stream${query}`, { headers, signal })),
      (response) => Effect.promise(() => response.body!.cancel().catch(() => {}))
    )
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader()
    yield* Effect.addFinalizer(() => Effect.promise(() => reader.cancel().catch(() => {})))
    let text = ""
    /** Reads until the text matches, or to the end. */
    const until = (pattern: RegExp | "end") =>
      Effect.promise(async () => {
        while (pattern === "end" || !pattern.test(text)) {
          const { done, value } = await reader.read()
          if (done) break
          text += value
        }
        return text
      })
    return { response, until }
  })

/** The events of a stream. */
const parsed = (text: string) =>
  text.split("\n\n").filter((block) => /^data:/m.test(block)).map((block) =>
    Object.fromEntries(
      block.split("\n").map((line) => {
        const [, name, value] = /^(\w+): (.*)$/.exec(line) ?? []
        return [name, name === "data" ? JSON.parse(value!) : value]
      })
    )
  )

const epoch = Effect.flatMap(Journal, (journal) => journal.epoch)

const furnished = Effect.gen(function*() {
  const command = yield* Command
  yield* command.createTenant({ pubkey: alice })
  yield* command.createRelay({ id: "a", tenant: alice, subdomain: "a" })
  yield* command.createTenant({ pubkey: bob })
})

describe("a stream", () => {
  onEach(
    "has the activities after a position, then those to come",
    Effect.gen(function*() {
      yield* furnished
      const { response, until } = yield* open("?since=1")
      expect([response.status, response.headers.get("content-type")]).toEqual([200, "text/event-stream"])
      expect(response.headers.get("cache-control")).toBe("no-cache, no-transform")
      expect(response.headers.get("x-accel-buffering")).toBe("no")
      yield* until(/"position":3/)
      const { json } = yield* get("/v1/activity?after=1")
      yield* (yield* Command).deactivateRelay({ id: "a" })
      const text = yield* until(/"position":4[^]*\n\n/)
      expect(text).toMatch(/^retry: 2000\n\n/)
      const events = parsed(text)
      const current = yield* epoch
      expect(events.map(({ event, id }) => [id, event])).toEqual([
        [`${current}:2`, "create_relay"],
        [`${current}:3`, "create_tenant"],
        [`${current}:4`, "deactivate_relay"]
      ])
      expect(events.slice(0, 2).map(({ data }) => data)).toEqual(json.items)
    }).pipe(Effect.scoped)
  )

  onEach(
    "without a position has what happens from now on",
    Effect.gen(function*() {
      yield* furnished
      const { until } = yield* open("")
      yield* until(/retry/)
      yield* (yield* Command).deactivateRelay({ id: "a" })
      expect(parsed(yield* until(/data[^]*\n\n/)).map(({ event }) => event)).toEqual(["deactivate_relay"])
    }).pipe(Effect.scoped)
  )

  onEach(
    "is resumed by Last-Event-ID, which takes precedence over since",
    Effect.gen(function*() {
      yield* furnished
      const { until } = yield* open("?since=0", { "last-event-id": `${yield* epoch}:2` })
      expect(parsed(yield* until(/data[^]*\n\n/)).map(({ data }) => data.position)).toEqual([3])
    }).pipe(Effect.scoped)
  )

  onEach(
    "has only what is asked for",
    Effect.gen(function*() {
      yield* furnished
      const command = yield* Command
      yield* command.createRelay({ id: "z", tenant: bob, subdomain: "z" })
      yield* command.deactivateRelay({ id: "a" })
      for (
        const [query, expected] of [
          [`tenant=${bob}`, [3, 4]],
          [`tenant=${alice}`, [1, 2, 5]],
          ["resourceType=relay", [2, 4, 5]],
          ["resourceId=a", [2, 5]],
          ["activityType=create_relay&activityType=deactivate_relay", [2, 4, 5]]
        ] as const
      ) {
        const { until } = yield* open(`?since=0&${query}`)
        const events = parsed(yield* until(new RegExp(`"position":${expected.at(-1)}[^]*\n\n`)))
        expect([query, events.map(({ data }) => data.position)]).toEqual([query, expected])
      }
    }).pipe(Effect.scoped)
  )

  onEach(
    "is JSON lines if they are asked for",
    Effect.gen(function*() {
      yield* furnished
      const { response, until } = yield* open("?since=0", { accept: "application/x-ndjson" })
      expect(response.headers.get("content-type")).toBe("application/x-ndjson")
      const lines = (yield* until(/"position":3.*\n/)).split("\n").filter((line) => line !== "")
      expect(lines.map((line) => JSON.parse(line).position)).toEqual([1, 2, 3])
    }).pipe(Effect.scoped)
  )

  onEach(
    "ends with a typed event if the position is of another epoch, and refuses what is none",
    Effect.gen(function*() {
      yield* furnished
      const other = "01234567-89ab-4cde-8f01-23456789abcd"
      const { until } = yield* open(`?since=${other}:1`)
      expect(parsed(yield* until("end"))).toEqual([{
        event: "problem",
        data: {
          type: "urn:caravel:problem:position-from-other-epoch",
          title: "Position from other epoch",
          status: 409,
          detail: expect.any(String),
          position: 1,
          epoch: other,
          current: yield* epoch,
          common: 0
        }
      }])
      expect(parsed(yield* Effect.flatMap(open("?since=9"), ({ until }) => until("end")))[0]?.event).toBe("problem")
      for (const query of ["?since=x", "?since=-1", "?since=1.5", `?since=${other}`, "?tenant=a"]) {
        expect([query, (yield* get(`/v1/activity/stream${query}`)).status]).toEqual([query, 400])
      }
      expect((yield* get("/v1/activity/stream", { "last-event-id": "x" })).json.issues[0].path).toBe("last-event-id")
    }).pipe(Effect.scoped)
  )

  onEach(
    "says where it begins, so that a client that loses its connection before the first activity misses none",
    Effect.gen(function*() {
      yield* furnished
      const [, id = ""] = /^id: (.*)$/m.exec(yield* Effect.flatMap(open(""), ({ until }) => until(/retry/))) ?? []
      yield* (yield* Command).deactivateRelay({ id: "a" })
      const { until } = yield* open("", { "last-event-id": id })
      expect(parsed(yield* until(/data/)).map(({ event }) => event)).toEqual(["deactivate_relay"])
    }).pipe(Effect.scoped)
  )

  it.live("has heartbeats, which are comments", () =>
    Effect.gen(function*() {
      const { until } = yield* open("")
      expect(yield* until(/(:\n\n){3}/)).toMatch(/^id: [0-9a-f-]{36}:0\nretry: 2000\n\n:\n\n:\n\n:\n\n$/)
      const lines = yield* open("", { accept: "application/x-ndjson" })
      expect(yield* lines.until(/\n{3}/)).toBe("\n\n\n")
    }).pipe(
      Effect.scoped,
      Effect.provide(served(Memory.layer).pipe(Layer.provide(Layer.succeed(EventStream.Heartbeat, "50 millis"))))
    ))

  it.live("ends with a hint when the server shuts down", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(served(Memory.layer), scope)
      const { until } = yield* Effect.provide(open("?since=0"), context)
      yield* until(/retry/)
      yield* Scope.close(scope, Exit.void)
      expect(yield* until("end")).toBe("retry: 2000\n\nretry: 2000\n\n")
    }).pipe(Effect.scoped))

  it.live("waits for a client that does not read, keeps little for it, and loses nothing", () => {
    const { kept, node, services, stalled, taken } = withBacklog()
    const check = Effect.zipRight(Effect.sync(() => expect(kept()).toBeLessThan(100_000)), Effect.yieldNow())
    return Effect.gen(function*() {
      const client = yield* stalled
      expect(kept()).toBeLessThan(100_000)
      // Another client is not delayed. While it reads everything, nothing is taken from the feed for the first.
      const before = taken.count
      const all = Array.from({ length: backlog }, (_, n) => n + 2)
      expect(yield* read(yield* connected(node), backlog)).toEqual(all)
      expect(taken.count - before).toBe(backlog)
      expect(before).toBeLessThan(backlog)
      expect(yield* Effect.raceFirst(read(client, backlog), Effect.forever(check))).toEqual(all)
    }).pipe(Effect.scoped, Effect.provide(served(services, {}, node)))
  }, 60_000)

  it.live("takes nothing more from the feed when the server shuts down", () => {
    const { node, services, stalled, taken } = withBacklog()
    return Effect.gen(function*() {
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(served(services, {}, node), scope)
      const client = yield* Effect.provide(stalled, context)
      const closing = yield* Effect.fork(Scope.close(scope, Exit.void))
      yield* Deferred.await(taken.ended)
      expect(taken.count).toBeLessThan(backlog)
      client.destroy()
      yield* Fiber.join(closing)
    }).pipe(Effect.scoped)
  }, 60_000)

  it.live("takes nothing more from the feed when the credential is revoked", () => {
    const { node, services, stalled, taken } = withBacklog()
    let isValid = true
    const identity = { ...administrator, isValid: Effect.sync(() => isValid) }
    return Effect.gen(function*() {
      yield* stalled
      isValid = false
      yield* Deferred.await(taken.ended)
      expect(taken.count).toBeLessThan(backlog)
    }).pipe(
      Effect.scoped,
      Effect.provide(mounted(services, () => Effect.succeed(identity), { node }))
    )
  }, 60_000)
})

const backlog = 40_000

/** A host that counts what is taken from its feed, and a client of it that does not read a backlog. */
const withBacklog = () => {
  const node = createServer()
  const sockets: Array<Socket> = []
  node.on("connection", (socket) => sockets.push(socket))
  const taken = { count: 0, ended: Deferred.unsafeMake<void>(FiberId.none) }
  const services = Layer.effect(
    ActivityFeed,
    Effect.map(ActivityFeed, (feed) => ({
      ...feed,
      since: (...from: Parameters<typeof feed.since>) =>
        feed.since(...from).pipe(
          Stream.mapChunks((chunk) => {
            taken.count += Chunk.size(chunk)
            return chunk
          }),
          Stream.ensuring(Deferred.succeed(taken.ended, undefined))
        )
    }))
  ).pipe(Layer.provideMerge(Memory.layer))
  /** Until all that the machine buffers for a socket is full. */
  const stalled = Effect.gen(function*() {
    const command = yield* Command
    yield* command.createTenant({ pubkey: alice })
    const client = yield* connected(node)
    yield* Effect.repeatN(
      command.submit(Array.from({ length: backlog / 4 }, () => ({ _tag: "UpdateTenant", pubkey: alice }))),
      3
    )
    yield* Effect.sync(() => sockets.some(({ writableNeedDrain }) => writableNeedDrain)).pipe(
      Effect.zipLeft(Effect.yieldNow()),
      Effect.repeat({ until: (stalled) => stalled })
    )
    return client
  })
  const kept = () => Math.max(0, ...sockets.map(({ writableLength }) => writableLength))
  return { node, services, taken, stalled, kept }
}

/** Reads a number of events, and returns their positions. */
const read = (client: Socket, count: number) =>
  Effect.promise(async () => {
    let text = ""
    const found: Array<number> = []
    for await (const chunk of client) {
      text += chunk
      const end = text.lastIndexOf("\n")
      for (const [, position] of text.slice(0, end).matchAll(/^data: {"position":(\d+)/gm)) found.push(Number(position))
      text = text.slice(end)
      if (found.length >= count) break
    }
    return found
  })

/** A client that has asked for what happens after position 1, and has not read the answer yet. */
const connected = (node: HttpServer) =>
  Effect.acquireRelease(
    Effect.async<Socket>((resume) => {
      const { port } = node.address() as AddressInfo
      const client = connect(port, "127.0.0.1", () => {
        client.write("GET /v1/activity/stream?since=1 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        resume(Effect.succeed(client))
      })
      client.setEncoding("utf8").pause()
    }),
    (client) => Effect.sync(() => client.destroy())
  )
