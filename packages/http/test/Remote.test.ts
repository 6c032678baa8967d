/** What only services of a host can meet: lost answers, missing grants, and a host that is away. */
import { ActivityPubSub, Command, Journal, Query } from "@caravel/domain"
import { Remote, Server } from "@caravel/http"
import { Memory } from "@caravel/memory"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientError from "@effect/platform/HttpClientError"
import * as HttpServer from "@effect/platform/HttpServer"
import { expect, it } from "@effect/vitest"
import { Context, Effect, ExecutionStrategy, Exit, Layer, Option, Queue, Ref, Scope } from "effect"
import { createServer } from "node:http"
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
