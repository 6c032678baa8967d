/** What only services of a host can meet: lost answers, missing grants, and a host that is away. */
import { ActivityPubSub, Command, Journal, Position, Query } from "@caravel/domain"
import { Problem, Remote, RequestError, Server } from "@caravel/http"
import { Memory } from "@caravel/memory"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientError from "@effect/platform/HttpClientError"
import * as HttpServer from "@effect/platform/HttpServer"
import { expect, it } from "@effect/vitest"
import {
  Array as Arr,
  Context,
  Effect,
  ExecutionStrategy,
  Exit,
  Layer,
  Option,
  Queue,
  Redacted,
  Ref,
  Scope,
  Stream
} from "effect"
import { createServer, type Server as NodeServer } from "node:http"
import type { AddressInfo } from "node:net"
import { served } from "./fixtures/served.js"

it.live("a command whose answer is lost is sent again, and executed once", () =>
  Effect.gen(function*() {
    const url = yield* HttpServer.addressFormattedWith(Effect.succeed)
    const lost = Layer.effect(
      HttpClient.HttpClient,
      Effect.map(HttpClient.HttpClient, (client) => {
        let sent = 0
        return HttpClient.transform(client, (effect, request) => {
          if (request.method === "GET" || sent++ % 2 === 1) return effect
          const error = new HttpClientError.RequestError({ request, reason: "Transport", description: "lost" })
          return Effect.zipRight(effect, error)
        })
      })
    )
    yield* Effect.gen(function*() {
      const command = yield* Command
      const created = yield* command.createTenant({ pubkey: "ab".repeat(32) })
      const error = yield* Effect.flip(command.createTenant({ pubkey: "ab".repeat(32) }))
      const updated = yield* command.updateTenant({ pubkey: "ab".repeat(32), stripeCustomerId: "cus_1" })
      expect([created.position, error._tag, updated.position]).toEqual([1, "TenantAlreadyExists", 2])
    }).pipe(Effect.provide(Layer.provide(Remote.layerClient({ url }), lost)))
    expect(yield* Effect.flatMap(Journal, (journal) => journal.head)).toBe(2)
  }).pipe(Effect.provide(served(Memory.layer))))

it.live("a command that cannot be interrupted returns also if the log cannot be read here", () =>
  Effect.gen(function*() {
    const url = yield* HttpServer.addressFormattedWith(Effect.succeed)
    let stuck = false
    const client = Layer.effect(
      HttpClient.HttpClient,
      Effect.map(
        HttpClient.HttpClient,
        HttpClient.transform((effect, request) => stuck && request.method === "GET" ? Effect.never : effect)
      )
    )
    const host = yield* Command
    yield* Effect.gen(function*() {
      const received = yield* (yield* ActivityPubSub).subscribe
      const command = yield* Command
      yield* host.createTenant({ pubkey: "ab".repeat(32) })
      // The host has woken this process.
      yield* Queue.take(received)
      stuck = true
      const created = yield* Effect.uninterruptible(command.createTenant({ pubkey: "cd".repeat(32) }))
      expect(created.position).toBe(2)
    }).pipe(Effect.scoped, Effect.provide(Layer.provide(Remote.layerClient({ url }), client)))
  }).pipe(Effect.provide(served(Memory.layer))))

it.live("without the grant, a wallet URL is an error and not null", () =>
  Effect.gen(function*() {
    const url = yield* HttpServer.addressFormattedWith(Effect.succeed)
    yield* Effect.gen(function*() {
      const command = yield* Command
      const query = yield* Query
      yield* command.createTenant({ pubkey: "ab".repeat(32), nwcUrl: "nostr+walletconnect://alice?secret=hidden" })
      yield* command.createTenant({ pubkey: "cd".repeat(32) })
      expect((yield* Effect.flip(query.tenant("ab".repeat(32)))).message).toContain("the grant secrets")
      expect(Option.getOrThrow(yield* query.tenant("cd".repeat(32))).nwcUrl).toBe(null)
    }).pipe(Effect.provide(Remote.layer({ url })))
  }).pipe(Effect.provide(served(Memory.layer))))

it.live("an operator reads events by position, and the verification, as beside the database", () =>
  Effect.gen(function*() {
    const url = yield* HttpServer.addressFormattedWith(Effect.succeed)
    const command = yield* Command
    const here = yield* Journal
    yield* command.createTenant({ pubkey: "ab".repeat(32), nwcUrl: "nostr+walletconnect://alice?secret=hidden" })
    yield* Effect.forEach(Arr.range(1, 250), (n) => command.setTenantNwcError("ab".repeat(32), `${n}`))
    const positions = Arr.range(1, 260).reverse().map((n) => Position.make(n))
    yield* Effect.gen(function*() {
      const journal = yield* Journal
      expect(yield* journal.at(positions)).toEqual(yield* here.at(positions))
      expect(yield* journal.at([])).toEqual([])
      expect(yield* Stream.runCollect(journal.verify)).toEqual(yield* Stream.runCollect(here.verify))
      expect(yield* Effect.flip(journal.rebuild())).toMatchObject({ _tag: "StorageError", operation: "rebuild" })
      const { nwcUrl } = Option.getOrThrow(yield* (yield* Query).tenant("ab".repeat(32)))
      expect(nwcUrl === null ? null : Redacted.value(nwcUrl)).toBe("nostr+walletconnect://redacted")
    }).pipe(Effect.provide(Remote.layerOperator({ url })))
  }).pipe(Effect.provide(served(Memory.layer))))

it.live("a verification whose answer is cut off, or ends with a problem, fails", () =>
  Effect.gen(function*() {
    const step = { events: 1, head: 1, tenants: 0, relays: 0, secrets: 0, differences: [], clocks: [] }
    const bodies = {
      "cut off": JSON.stringify(step),
      "shutting down": `${JSON.stringify(step)}\n${JSON.stringify(Problem.encode(new RequestError.ShuttingDown()))}`,
      "cannot be read": "{}"
    }
    for (const [why, body] of Object.entries(bodies)) {
      const answering = yield* Effect.acquireRelease(
        Effect.async<NodeServer>((resume) => {
          const server = createServer((request, response) =>
            response.end(request.url === "/v1/verify" ? body : JSON.stringify({ head: 1, epochs: [epoch] }))
          )
          server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
        }),
        (server) => Effect.sync(() => server.close().closeAllConnections())
      )
      const { port } = answering.address() as AddressInfo
      const error = yield* Effect.flatMap(Journal, ({ verify }) => Effect.flip(Stream.runDrain(verify))).pipe(
        Effect.provide(Remote.layerOperator({ url: `http://127.0.0.1:${port}`, retryFor: "100 millis" }))
      )
      expect(error).toMatchObject({ _tag: "StorageError", message: expect.stringContaining(why) })
    }
  }).pipe(Effect.scoped))

const epoch = { epoch: "11111111-1111-4111-8111-111111111111", position: 0, startedAt: "2026-01-01T00:00:00Z" }

it.live("a host that cannot be reached is unavailable, after some time", () =>
  Effect.gen(function*() {
    const error = yield* Effect.flip(Layer.build(Remote.layer({ url: "http://127.0.0.1:1", retryFor: "100 millis" })))
    expect(error).toMatchObject({ _tag: "StorageError", reason: "unavailable" })
  }).pipe(Effect.scoped))

it.live("a feed continues when the host is back, and misses nothing", () =>
  Effect.gen(function*() {
    const scope = yield* Effect.scope
    const database = yield* Layer.build(Memory.layer)
    const host = Effect.gen(function*() {
      const hostScope = yield* Scope.fork(scope, ExecutionStrategy.sequential)
      const port = yield* Ref.get(ports)
      const node = NodeHttpServer.layer(createServer, { host: "127.0.0.1", port })
      const server = Server.layer().pipe(Layer.provideMerge(node), Layer.provide(Layer.succeedContext(database)))
      const context = yield* Layer.buildWithScope(server, hostScope)
      const address = Context.get(context, HttpServer.HttpServer).address
      if (address._tag === "TcpAddress") yield* Ref.set(ports, address.port)
      return hostScope
    })
    const ports = yield* Ref.make(0)
    const running = yield* host
    const remote = yield* Layer.build(Remote.layer({ url: `http://127.0.0.1:${yield* Ref.get(ports)}` }))
    const queue = yield* Context.get(remote, ActivityPubSub).subscribe
    const command = Context.get(database, Command)
    yield* command.createTenant({ pubkey: "ab".repeat(32) })
    expect((yield* Queue.take(queue)).position).toBe(1)
    yield* Scope.close(running, Exit.void)
    yield* command.createTenant({ pubkey: "cd".repeat(32) })
    yield* host
    expect((yield* Queue.take(queue)).position).toBe(2)
  }).pipe(Effect.scoped))
