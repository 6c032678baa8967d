/** `caravel serve` and clients that do not behave as most do: none of them ends the host, and each gets its whole answer. */
import { nextTurn } from "@caravel/domain/adapter"
import { expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { createServer, type Server, type ServerResponse } from "node:http"
import { type AddressInfo, connect, type Socket } from "node:net"
import { directory, host } from "../host.js"
import { caravel } from "../process.js"

const tenant = "ab".repeat(32)

/** A connection to a host, on which a request has been sent. */
const requesting = (url: string, lines: ReadonlyArray<string>, body = "") =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const socket = connect(Number(new URL(url).port), "127.0.0.1").on("error", () => {})
      socket.write(
        `${[...lines, "host: localhost", `content-length: ${Buffer.byteLength(body)}`].join("\r\n")}\r\n\r\n${body}`
      )
      return socket
    }),
    (socket) => Effect.sync(() => socket.destroy())
  )

/** All that a host sends until it closes the connection. */
const received = (socket: Socket) =>
  Effect.promise(async () => {
    const chunks: Array<Buffer> = []
    for await (const chunk of socket) chunks.push(chunk)
    return Buffer.concat(chunks)
  })

const post = (url: string, path: string, body: object) =>
  Effect.promise(() =>
    fetch(url + path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) })
  )

it.scopedLive(
  "a client that asks for another protocol is answered, and ends nothing if it resets its connection",
  () =>
    Effect.gen(function*() {
      const { ended, signal, url } = yield* host(yield* directory)
      const upgrade = ["connection: upgrade", "upgrade: h2c"]
      const command = ["POST /v1/commands/create-tenant HTTP/1.1", "content-type: application/json", ...upgrade]
      const socket = yield* requesting(url, command, JSON.stringify({ pubkey: tenant }))
      const answer = yield* Effect.async<string>((resume) => {
        socket.once("data", (data) => resume(Effect.succeed(String(data))))
      })
      expect(answer).toMatch(/^HTTP\/1\.1 200 /)
      for (let n = 0; n < 20; n++) {
        const client = yield* requesting(url, ["GET /docs HTTP/1.1", ...upgrade])
        // Before, while and after the answer is sent.
        yield* Effect.async<void>((resume) => {
          if (n % 2 === 0) client.once("data", () => resume(Effect.void))
          else client.once("connect", () => resume(Effect.void))
        })
        client.resetAndDestroy()
        expect((yield* Effect.promise(() => fetch(`${url}/healthz`))).status).toBe(200)
      }
      yield* signal("SIGTERM")
      expect((yield* ended).code).toBe(0)
    }),
  60_000
)

it.scopedLive("a slow client of a host that is stopped gets its whole answer", () =>
  Effect.gen(function*() {
    const { ended, signal, url } = yield* host(yield* directory)
    yield* post(url, "/v1/commands/create-tenant", { pubkey: tenant })
    // 13 MB, which do not fit into the buffers of the two sockets.
    const relays = Array.from({ length: 200 }, (_, n) => ({
      _tag: "CreateRelay",
      id: `r${n}`,
      tenant,
      subdomain: `r${n}`,
      infoDescription: "x".repeat(65_536)
    }))
    for (let n = 0; n < 200; n += 50) yield* post(url, "/v1/submit", relays.slice(n, n + 50))
    const client = yield* requesting(url, ["GET /v1/relays?limit=200 HTTP/1.1"])
    yield* Effect.async<void>((resume) => {
      client.once("readable", () => resume(Effect.void))
    })
    yield* signal("SIGTERM")
    const health = Effect.promise(async () => (await fetch(`${url}/healthz`)).status)
    yield* Effect.repeat(health, { until: (status) => status === 503 })
    // For longer than a host waits for connections that are only kept alive.
    const until = performance.now() + 1500
    yield* Effect.repeat(health, { until: (status) => status !== 503 || performance.now() > until })
    const answer = yield* received(client)
    const end = answer.indexOf("\r\n\r\n") + 4
    const [, length] = /content-length: (\d+)/i.exec(answer.subarray(0, end).toString())!
    expect(answer.length - end).toBe(Number(length))
    expect((yield* ended).code).toBe(0)
  }), 60_000)

it.scopedLive(
  "a host that waits for its workers takes no requests, which nothing would answer",
  () =>
    Effect.gen(function*() {
      let answer: ServerResponse | undefined
      const machines = yield* Effect.acquireRelease(
        Effect.async<Server>((resume) => {
          const server = createServer((_, response) => void (answer = response))
          server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
        }),
        (server) => Effect.sync(() => server.close().closeAllConnections())
      )
      const relayHost = `http://127.0.0.1:${(machines.address() as AddressInfo).port}`
      const cwd = yield* directory
      const { ended, signal, url } = yield* host(cwd, "--with", "provisioner", "--relay-host", relayHost)
      yield* post(url, "/v1/commands/create-tenant", { pubkey: tenant })
      yield* post(url, "/v1/commands/create-relay", { id: "a", tenant, subdomain: "a" })
      yield* Effect.repeat(nextTurn, { until: () => answer !== undefined })
      yield* signal("SIGTERM")
      const refused = Effect.promise(() =>
        fetch(`${url}/healthz`).then(() => false, ({ cause }) => cause.code === "ECONNREFUSED")
      )
      yield* Effect.repeat(refused, { until: (refused) => refused })
      // The provisioner still waits for this answer, and reports it.
      answer!.writeHead(204).end()
      expect((yield* ended).code).toBe(0)
      const { json } = yield* Effect.promise(() => caravel(cwd, ["relay", "a", "--database", "db"]))
      expect(json).toMatchObject([{ synced: true }])
    }),
  60_000
)
