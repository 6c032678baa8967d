import { decodeCommand, Query, RelayNotFound, StorageError, VersionConflict } from "@caravel/domain"
import { nextTurn } from "@caravel/domain/adapter"
import { Api, Credentials, Problem, Server, SingleUse } from "@caravel/http"
import { Memory } from "@caravel/memory"
import { pubkey } from "@caravel/testing"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as HttpApiClient from "@effect/platform/HttpApiClient"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import { describe, expect, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Layer, Schema, Scope } from "effect"
import { createServer, type ServerResponse } from "node:http"
import { connect } from "node:net"
import {
  administrator,
  command,
  get,
  mounted,
  onEach,
  send,
  served,
  statusWith,
  url,
  withQuery,
  withSlowRelay
} from "./fixtures/served.js"

const alice = pubkey("alice")

describe("what the framework refuses", () => {
  onEach(
    "is a problem, too",
    Effect.gen(function*() {
      const body = { pubkey: alice }
      const long = JSON.stringify({ pubkey: alice, stripeCustomerId: "x".repeat(2000) })
      const answers = [
        [yield* get("/"), 404, "route-not-found"],
        [yield* get("/v1/relays/a/b"), 404, "route-not-found"],
        [yield* get("/v1/commands/create-tenant"), 405, "method-not-allowed"],
        [yield* send("DELETE", "/v1/relays/a"), 405, "method-not-allowed"],
        [yield* get("/v1/relays/%ff"), 400, "invalid-request"],
        [yield* command("create-tenant", "{"), 400, "invalid-request"],
        [yield* command("create-tenant", ""), 400, "invalid-request"],
        [yield* command("create-tenant", `\uFEFF${JSON.stringify(body)}`), 400, "invalid-request"],
        [yield* command("create-tenant", []), 400, "invalid-request"],
        [yield* command("create-tenant", "null"), 400, "invalid-request"],
        [yield* command("create-tenant", body, { "idempotency-key": "x".repeat(300) }), 400, "invalid-request"],
        [yield* command("create-tenant", body, { "content-type": "text/plain" }), 415, "unsupported-media-type"],
        [yield* command("create-tenant", long), 413, "body-too-large"]
      ] as const
      for (const [{ headers, json, status }, expected, type] of answers) {
        expect([json.type, json.status, status]).toEqual([`urn:caravel:problem:${type}`, expected, expected])
        expect(headers.get("content-type")).toBe("application/problem+json")
      }
      expect(answers[2][0].headers.get("allow")).toBe("POST")
      expect(yield* Effect.flatMap(Query, ({ tenants }) => tenants)).toEqual([])
    }),
    { maxBody: 1000 }
  )

  onEach(
    "is a problem, however it is nested",
    Effect.gen(function*() {
      const nested = `${"[".repeat(3000)}${"]".repeat(3000)}`
      const unprintable = "{\"constructor\":{\"name\":{\"toString\":1,\"valueOf\":1}}}"
      for (const value of [nested, unprintable]) {
        for (
          const { json } of [
            yield* command("create-relay", `{"policyPublicJoin":${value}}`),
            yield* send("POST", "/v1/submit", { body: `[${value}]` }),
            yield* send("POST", "/v1/submit", { body: `[{"_tag":"CreateRelay","policyPublicJoin":${value}}]` }),
            yield* send("POST", "/v1/consumers/a/reset", { body: `{"position":${value}}` })
          ]
        ) expect(json).toMatchObject({ type: "urn:caravel:problem:invalid-request", status: 400 })
      }
    })
  )

  it.live("is not a parameter that is long, also where an application mounts the API", () => {
    const long = Effect.gen(function*() {
      const { json } = yield* get(`/v1/consumers/${"n".repeat(256)}`)
      expect(json).toMatchObject({ type: "urn:caravel:problem:consumer-not-found", status: 404 })
    })
    return Effect.zipRight(
      Effect.provide(long, served(Memory.layer)),
      Effect.provide(long, mounted(Memory.layer, () => Effect.succeed(administrator)))
    )
  })

  it.live("a bug is a problem without its cause", () =>
    Effect.gen(function*() {
      const broken = withQuery((query) => ({ ...query, relay: () => Effect.die("5c4e") }))
      const { status, text } = yield* Effect.provide(get("/v1/relays/a"), served(broken))
      expect(status).toBe(500)
      expect(text).toMatch(/urn:caravel:problem:unexpected/)
      expect(text).not.toMatch(/5c4e/)
    }))
})

describe("a client of the API", () => {
  onEach(
    "gets activities, rows and the domain's own errors",
    Effect.gen(function*() {
      const client = yield* HttpApiClient.make(Api, { baseUrl: yield* url })
      const { _tag, ...payload } = yield* decodeCommand({ _tag: "CreateTenant", pubkey: alice })
      expect(_tag).toBe("CreateTenant")
      const activity = yield* client.commands.createTenant({ payload: payload as never, headers: {} })
      expect(activity).toMatchObject({ position: 1, activityType: "create_tenant", tenant: alice })
      const row = yield* client.queries.tenant({ path: { pubkey: activity.tenant } })
      expect(row).toMatchObject({ pubkey: alice, nwcUrl: null, createdAt: activity.createdAt })

      const id = "a" as never
      const missing = yield* Effect.flip(client.commands.activateRelay({ payload: { id }, headers: {} }))
      expect(missing).toEqual(new RelayNotFound({ id }))
      expect(missing).toBeInstanceOf(RelayNotFound)
      const late = yield* Effect.flip(
        client.commands.setTenantPastDue({ payload: { pubkey: activity.tenant }, headers: { "if-match": 7 } })
      )
      expect(late).toEqual(new VersionConflict({ expected: 7, actual: 1 }))
    })
  )

  it("tells a storage error, but not its cause", () => {
    const error = new StorageError({ reason: "unavailable", operation: "commit", cause: new Error("10.0.0.5 refused") })
    const response = Problem.response(error)
    expect([response.status, response.headers["retry-after"]]).toEqual([503, "1"])
    const schema = Problem.schema(StorageError)
    const wire = Schema.encodeSync(schema)(error)
    expect(JSON.stringify(wire)).not.toMatch(/10\.0/)
    const decoded = Schema.decodeSync(schema)(wire)
    expect(decoded).toMatchObject({ _tag: "StorageError", reason: "unavailable", operation: "commit" })
    expect(decoded.message).toBe(wire.detail)
    const damaged = new StorageError({ reason: "corrupt", operation: "read", cause: "x" })
    expect(Problem.response(damaged).headers).not.toHaveProperty("retry-after")
  })
})

describe("the body of a request", () => {
  it.live("may be read by an application before and after the handler", () => {
    const text = Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) => Effect.orDie(request.text))
    const seen: Array<string> = []
    const application = (reads: { readonly before: boolean }) =>
      mounted(
        Memory.layer,
        () => reads.before ? Effect.as(text, administrator) : Effect.succeed(administrator),
        { middleware: (app) => Effect.zipLeft(app, Effect.map(text, (text) => seen.push(text))) }
      )
    return Effect.forEach([true, false], (before) =>
      Effect.gen(function*() {
        yield* command("create-tenant", { pubkey: alice })
        for (const infoName of ["short", "x".repeat(20_000)]) {
          const body = { id: infoName.slice(0, 5), tenant: alice, subdomain: infoName.slice(0, 5), infoName }
          expect((yield* command("create-relay", body)).status).toBe(200)
          expect(JSON.parse(seen.at(-1)!)).toEqual(body)
        }
        expect((yield* command("create-relay", "")).status).toBe(400)
      }).pipe(Effect.provide(application({ before }))))
  })
})

describe("a host without credentials", () => {
  const loopback = served(Memory.layer)

  it.live("serves only requests to this machine, and from no page of another origin", () =>
    Effect.gen(function*() {
      const base = yield* url
      const { host, port } = new URL(base)
      const statuses = (headers: ReadonlyArray<Record<string, string>>) =>
        Effect.forEach(headers, (headers) => statusWith("/v1/tenants", headers))
      expect(
        yield* statuses([{}, { host }, { host: `localhost:${port}` }, { host: `[::1]:${port}` }, { origin: base }])
      ).toEqual([200, 200, 200, 200, 200])
      expect(
        yield* statuses([
          { host: "caravel.example" },
          { host: `localhost.example:${port}` },
          { host: "0.0.0.0" },
          { origin: "https://caravel.example" },
          { origin: "null" },
          { origin: `http://localhost:${Number(port) + 1}` }
        ])
      ).toEqual([403, 403, 403, 403, 403, 403])
      const page = { origin: "https://caravel.example" }
      const { json } = yield* command("create-tenant", { pubkey: alice }, page)
      expect(json).toMatchObject({ type: "urn:caravel:problem:origin-refused", status: 403, header: "origin" })
      expect(yield* Effect.flatMap(Query, ({ tenants }) => tenants)).toEqual([])
    }).pipe(Effect.provide(loopback)))
})

describe("shutting down", () => {
  it.live("answers what is running, and refuses what is new", () =>
    Effect.gen(function*() {
      const { finish, services, started } = yield* withSlowRelay()
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(served(services), scope)
      const base = yield* Effect.provide(url, context)
      const running = yield* Effect.fork(Effect.provide(get("/v1/relays/a"), context))
      yield* started
      const closing = yield* Effect.fork(Scope.close(scope, Exit.void))
      const refused = yield* Effect.provide(get("/v1/relays/b"), context).pipe(
        Effect.repeat({ until: ({ status }) => status === 503 })
      )
      expect(refused.json).toMatchObject({ type: "urn:caravel:problem:shutting-down", status: 503 })
      expect([refused.headers.get("retry-after"), refused.headers.get("connection")]).toEqual(["1", "close"])
      yield* finish
      const answer = yield* Fiber.join(running)
      expect([answer.status, answer.headers.get("connection")]).toEqual([404, "close"])
      yield* Fiber.join(closing)
      yield* Effect.promise(() => expect(fetch(base)).rejects.toThrow())
    }))

  it.live("refuses what is new while answers are being sent, also to a page of an allowed origin", () =>
    Effect.gen(function*() {
      const sent = yield* Deferred.make<void>()
      const origin = "https://admin.example"
      const scope = yield* Scope.make()
      const layer = Server.layerWithCredentials({
        credentials: Effect.succeed(Credentials.Credentials.make({ tokens: [] })),
        origins: [origin, "https://second.example"],
        answersSent: Deferred.await(sent),
        drainTimeout: "1 hour"
      }).pipe(
        Layer.provideMerge(NodeHttpServer.layer(() => createServer(), { host: "127.0.0.1", port: 0 })),
        Layer.provide([Memory.layer, SingleUse.layerMemory])
      )
      const context = yield* Layer.buildWithScope(layer, scope)
      const closing = yield* Effect.fork(Scope.close(scope, Exit.void))
      const refused = yield* Effect.provide(get("/healthz", { origin }), context).pipe(
        Effect.repeat({ until: ({ status }) => status === 503 })
      )
      expect(refused.headers.get("access-control-allow-origin")).toBe(origin)
      expect(refused.headers.get("x-content-type-options")).toBe("nosniff")
      yield* Deferred.succeed(sent, undefined)
      yield* Fiber.join(closing)
    }))

  it.live("does not wait for answers whose clients are gone", () =>
    Effect.gen(function*() {
      const node = Server.endAbandoned(createServer())
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(served(Memory.layer, { drainTimeout: "1 hour" }, node), scope)
      const base = new URL(yield* Effect.provide(url, context))
      // A page is 1.5 MB, so these do not fit into the buffers of a client that reads nothing: one of them gets stuck.
      let last: ServerResponse | undefined
      let seen = 0
      node.on("request", (_, response) => {
        last = response
        seen = 0
      })
      const socket = connect(Number(base.port), base.hostname).pause()
      socket.on("error", () => {})
      socket.write(`GET /docs HTTP/1.1\r\nhost: ${base.host}\r\n\r\n`.repeat(20))
      const isStuck = Effect.sync(() => last?.writableEnded === true && !last.writableFinished && ++seen > 200)
      yield* Effect.repeat(Effect.zipRight(nextTurn, isStuck), { until: (stuck) => stuck })
      socket.destroy()
      const open = () => new Promise<number>((resolve) => node.getConnections((_, count) => resolve(count)))
      yield* Effect.repeat(Effect.zipRight(nextTurn, Effect.promise(open)), { until: (count) => count === 0 })
      yield* Scope.close(scope, Exit.void)
    }))

  it.live("waits for a request that does not end only as long as it is told to", () =>
    Effect.gen(function*() {
      const started = yield* Deferred.make<void>()
      const endless = withQuery((query) => ({
        ...query,
        relay: () => Effect.zipRight(Deferred.succeed(started, undefined), Effect.never)
      }))
      const node = Server.endAbandoned(createServer())
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(served(endless, { drainTimeout: "50 millis" }, node), scope)
      const running = yield* Effect.fork(Effect.exit(Effect.provide(get("/v1/relays/a"), context)))
      yield* Deferred.await(started)
      const closing = yield* Effect.fork(Scope.close(scope, Exit.void))
      // Then the server is closed, which waits for its connections.
      yield* Effect.repeat(Effect.zipLeft(Effect.sync(() => node.listening), Effect.yieldNow()), {
        while: (listening) => listening
      })
      node.closeAllConnections()
      yield* Fiber.join(closing)
      expect(Exit.isFailure(yield* Fiber.join(running))).toBe(true)
    }))
})
