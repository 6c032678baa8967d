import { nextTurn } from "@caravel/domain/adapter"
import { Server } from "@caravel/http"
import { Memory } from "@caravel/memory"
import { describe, expect, it } from "@effect/vitest"
import { Array as Arr, Deferred, Effect, Fiber, Supervisor } from "effect"
import { createServer } from "node:http"
import { connect, type Socket } from "node:net"
import { get, served, url, withQuery, withSlowRelay } from "./fixtures/served.js"

describe("a request whose client disconnects", () => {
  /** The fibers that have not ended. */
  class Live extends Supervisor.AbstractSupervisor<void> {
    readonly value = Effect.void
    readonly fibers = new Set<unknown>()

    override onStart(_: unknown, __: unknown, ___: unknown, fiber: unknown) {
      this.fibers.add(fiber)
    }

    override onEnd(_: unknown, fiber: unknown) {
      this.fibers.delete(fiber)
    }
  }

  const waiting = "/v1/relays/a"
  const page = "/docs"
  const cases = [
    { name: "while its handler waits", requests: [["GET", waiting]] },
    { name: "while the handler of a HEAD waits", requests: [["HEAD", waiting]] },
    { name: "behind one that waits", requests: [["GET", waiting], ["GET", "/healthz"], ["HEAD", page]] },
    { name: "as a stream behind one that waits", requests: [["GET", waiting], ["GET", "/v1/activity/stream"]] },
    // A page is 1.5 MB, so these do not fit into the buffers of a client that reads nothing.
    { name: "before it has read the answers", requests: Arr.replicate(["GET", page], 20) }
  ] as const

  for (const isUninterruptible of [false, true]) {
    for (const { name, requests } of cases) {
      it.live(`ends, ${name}${isUninterruptible ? " uninterruptibly" : ""}`, () =>
        Effect.gen(function*() {
          const finish = yield* Deferred.make<void>()
          const wait = Deferred.await(finish)
          const slow = withQuery((query) => ({
            ...query,
            relay: (id) =>
              Effect.zipRight(
                isUninterruptible ? Effect.uninterruptible(wait) : Effect.interruptible(wait),
                query.relay(id)
              )
          }))
          const node = Server.endAbandoned(createServer())
          let received = 0
          let disconnected = 0
          node.on("request", (_, response) => {
            received++
            response.on("close", () => disconnected++)
          })
          const live = new Live()
          yield* Effect.gen(function*() {
            const { host, hostname, port } = new URL(yield* url)
            yield* nextTurn
            const before = live.fibers.size
            const socket = connect(Number(port), hostname).pause()
            socket.on("error", () => {})
            for (const [method, path] of requests) {
              socket.write(`${method} ${path} HTTP/1.1\r\nhost: ${host}\r\n\r\n`)
            }
            // Node reads no further request while many answers are not sent.
            let seen = 0
            let last = 0
            const isStill = Effect.sync(() => {
              seen = received === last ? seen + 1 : 0
              last = received
              return received > 0 && seen > 100
            })
            yield* Effect.repeat(Effect.zipRight(nextTurn, isStill), { until: (still) => still })
            expect(live.fibers.size).toBeGreaterThan(before)
            socket.destroy()
            yield* Effect.repeat(nextTurn, { until: () => disconnected === received })
            yield* Deferred.succeed(finish, undefined)
            yield* Effect.repeat(nextTurn, { until: () => live.fibers.size <= before })
          }).pipe(Effect.provide(served(slow, {}, node)), Effect.supervised(live))
        }))
    }
  }
})

it.live("a response whose client does not disconnect calls back once", () =>
  Effect.gen(function*() {
    let sent = 0
    const node = Server.endAbandoned(createServer())
    yield* Effect.acquireRelease(
      Effect.promise(() => new Promise<void>((resolve) => node.listen(0, "127.0.0.1", resolve))),
      () => Effect.promise(() => new Promise((resolve) => node.close(resolve)))
    )
    const closed = new Promise<void>((resolve) =>
      node.on("request", (_, response) => {
        response.on("close", resolve)
        response.end("answered", () => sent++)
      })
    )
    const address = node.address()
    const port = typeof address === "object" ? address?.port : undefined
    const answer = yield* Effect.promise(() => fetch(`http://127.0.0.1:${port}`, { headers: { connection: "close" } }))
    expect(yield* Effect.promise(() => answer.text())).toBe("answered")
    yield* Effect.promise(() => closed)
    yield* nextTurn
    expect(sent).toBe(1)
  }).pipe(Effect.scoped))

describe("bytes that are not HTTP", () => {
  /** What a server sends on a connection until it closes it. */
  const received = (socket: Socket) =>
    Effect.async<string>((resume) => {
      let text = ""
      socket.setEncoding("utf8").on("data", (data: string) => text += data)
      socket.on("close", () => resume(Effect.succeed(text)))
    })

  for (const connection of ["close", "keep-alive"]) {
    it.live(`are not answered in place of the request before them (Connection: ${connection})`, () =>
      Effect.gen(function*() {
        const { finish, services, started } = yield* withSlowRelay()
        const node = Server.endAbandoned(createServer())
        let bytesRead = () => 0
        node.on("connection", (socket) => bytesRead = () => socket.bytesRead)
        yield* Effect.gen(function*() {
          const { host, hostname, port } = new URL(yield* url)
          const socket = connect(Number(port), hostname)
          const answer = yield* Effect.fork(received(socket))
          socket.write(`GET /v1/relays/a HTTP/1.1\r\nhost: ${host}\r\nconnection: ${connection}\r\n\r\n`)
          yield* started
          for (const read of [bytesRead(), bytesRead() + 1]) {
            socket.write("?")
            yield* Effect.repeat(nextTurn, { until: () => bytesRead() > read })
          }
          yield* finish
          const text = yield* Fiber.join(answer)
          expect(text.match(/HTTP\/1\.1 \d+/g)).toEqual(["HTTP/1.1 404"])
          expect(text).toContain("urn:caravel:problem:relay-not-found")
        }).pipe(Effect.provide(served(services, {}, node)))
      }))
  }

  /** What a server answers to these bytes. */
  const answerTo = (bytes: string) =>
    Effect.gen(function*() {
      const { hostname, port } = new URL(yield* url)
      const socket = connect(Number(port), hostname)
      socket.write(bytes)
      return yield* received(socket)
    }).pipe(Effect.provide(served(Memory.layer)))

  const own = [
    ["without a host", "GET / HTTP/1.1\r\n\r\n?", "400 Bad Request"],
    ["with an expectation", "GET / HTTP/1.1\r\nhost: localhost\r\nexpect: more\r\n\r\n?", "417 Expectation Failed"]
  ] as const

  it.live.each(own)(
    "are not answered after what Node has answered itself: a request %s",
    ([, bytes, status]) =>
      Effect.map(answerTo(bytes), (text) => {
        expect(text.match(/HTTP\/1\.1 .*/g)).toEqual([`HTTP/1.1 ${status}`])
      })
  )

  const chunk =
    `POST /v1/submit HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n`
  const malformed = [
    ["a line", "?\r\n\r\n", "400 Bad Request"],
    ["a header of 20 KB", `GET / HTTP/1.1\r\na: ${"b".repeat(20_000)}\r\n\r\n`, "431 Request Header Fields Too Large"],
    ["a chunk without a length", `${chunk}?\r\n`, "400 Bad Request"],
    ["a chunk with 20 KB beside its length", `${chunk}1;${"b".repeat(20_000)}\r\n`, "413 Payload Too Large"]
  ] as const

  it.live.each(malformed)(
    "are answered as Node does: %s",
    ([, bytes, status]) =>
      Effect.map(answerTo(bytes), (text) => {
        expect(text).toBe(`HTTP/1.1 ${status}\r\nConnection: close\r\n\r\n`)
      })
  )
})

describe("a client that asks for another protocol", () => {
  it.live("may reset its connection while its request is executed", () =>
    Effect.gen(function*() {
      const { finish, services, started } = yield* withSlowRelay(Effect.uninterruptible)
      const node = Server.endAbandoned(createServer())
      const closed = new Promise<void>((resolve) =>
        node.on("connection", (socket) => socket.on("close", () => resolve()))
      )
      yield* Effect.gen(function*() {
        const { host, hostname, port } = new URL(yield* url)
        const socket = connect(Number(port), hostname)
        socket.write(`GET /v1/relays/a HTTP/1.1\r\nhost: ${host}\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n`)
        yield* started
        socket.resetAndDestroy()
        // An error without a listener would end the process.
        yield* Effect.promise(() => closed)
        yield* finish
        expect((yield* get("/healthz")).status).toBe(200)
      }).pipe(Effect.provide(served(services, {}, node)))
    }))
})
