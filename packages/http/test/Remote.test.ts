/** What only services of a host can meet: lost answers, missing grants, and a host that is away. */
import { ActivityPubSub, Command, InputLimits, Journal, Position, Query } from "@caravel/domain"
import { nextTurn } from "@caravel/domain/adapter"
import { EventStream, Problem, Remote, RequestError, Server } from "@caravel/http"
import { Memory } from "@caravel/memory"
import { Consumer } from "@caravel/pubsub"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpServer from "@effect/platform/HttpServer"
import { describe, expect, it } from "@effect/vitest"
import {
  Array as Arr,
  Context,
  Effect,
  ExecutionStrategy,
  Exit,
  Layer,
  Logger,
  Option,
  Queue,
  Redacted,
  Ref,
  Scope,
  Stream
} from "effect"
import { createServer, type ServerResponse } from "node:http"
import { inspect } from "node:util"
import { answering, empty, journal, page } from "./fixtures/answering.js"
import { served } from "./fixtures/served.js"

/** Loses every other answer, except to a `GET`. */
const losing = () => {
  let sent = 0
  return Effect.provideService(FetchHttpClient.Fetch, async (...request) => {
    const answer = await fetch(...request)
    if (request[1]?.method === "GET" || sent++ % 2 === 1) return answer
    throw new TypeError("the answer is lost")
  })
}

it.live("a command whose answer is lost is sent again, and executed once", () =>
  Effect.gen(function*() {
    const url = yield* HttpServer.addressFormattedWith(Effect.succeed)
    yield* Effect.gen(function*() {
      const command = yield* Command
      const created = yield* command.createTenant({ pubkey: "ab".repeat(32) })
      const error = yield* Effect.flip(command.createTenant({ pubkey: "ab".repeat(32) }))
      const updated = yield* command.updateTenant({ pubkey: "ab".repeat(32), stripeCustomerId: "cus_1" })
      expect([created.position, error._tag, updated.position]).toEqual([1, "TenantAlreadyExists", 2])
    }).pipe(losing(), Effect.provide(Remote.layer({ url })))
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

it.live("the limits of input are those of the program, and then those of the host", () =>
  Effect.gen(function*() {
    const url = yield* HttpServer.addressFormattedWith(Effect.succeed)
    const limited = (commandsPerSubmit: number) =>
      Layer.succeed(InputLimits, { ...InputLimits.defaults, commandsPerSubmit })
    const list = Arr.makeBy(3, (n) => ({ _tag: "CreateTenant" as const, pubkey: `${n}`.repeat(64) }))
    const submit = Effect.flatMap(Command, (command) => command.submit(list))
    const refused = yield* Effect.flip(submit).pipe(
      Effect.provide(Layer.provide(Remote.layer({ url }), limited(2)))
    )
    expect(refused._tag).toBe("ParseError")
    expect(yield* Effect.flatMap(Journal, ({ head }) => head)).toBe(0)
    const created = yield* Effect.provide(submit, Layer.provide(Remote.layer({ url }), limited(3)))
    expect(created).toHaveLength(3)
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
      const tenant = Option.getOrThrow(yield* (yield* Query).tenant("ab".repeat(32)))
      expect(tenant.nwcUrl && Redacted.value(tenant.nwcUrl)).toBe("nostr+walletconnect://redacted")
      // What a program has read as an operator must not replace the wallet URL.
      const update = Effect.flatMap(
        Command,
        ({ updateTenant }) => updateTenant({ ...tenant, stripeCustomerId: "cus_1" })
      )
      const refused = yield* Effect.flip(update)
      expect([refused._tag, refused.message]).toEqual(["ParseError", expect.stringContaining("does not read")])
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
      const url = yield* answering((request, response) =>
        response.end(request.url === "/v1/verify" ? body : JSON.stringify(journal))
      )
      const error = yield* Effect.flatMap(Journal, ({ verify }) => Effect.flip(Stream.runDrain(verify))).pipe(
        Effect.provide(Remote.layerOperator({ url, retryFor: "100 millis" }))
      )
      expect(error).toMatchObject({ _tag: "StorageError", message: expect.stringContaining(why) })
    }
  }).pipe(Effect.scoped))

describe("an answer that is not the host's", () => {
  const passing: Record<string, (response: ServerResponse) => void> = {
    "a proxy's 503 with a page": (response) => response.writeHead(503, page).end("<html>"),
    "a proxy's 503 without a body": (response) => response.writeHead(503).end(),
    "a proxy's 503 with JSON": (response) =>
      response.writeHead(503, { "content-type": "application/json" }).end("{\"message\":\"no\"}"),
    "a proxy's 429": (response) => response.writeHead(429, page).end("slower"),
    "a proxy's 521": (response) => response.writeHead(521, page).end(),
    "an answer that breaks off": (response) => {
      response.writeHead(200, { "content-type": "application/json", "content-length": 1000 }).write("{\"head\":")
      response.socket?.destroySoon()
    }
  }
  for (const [name, answer] of Object.entries(passing)) {
    it.scopedLive(`is waited for if it may pass: ${name}`, () =>
      Effect.gen(function*() {
        let asked = 0
        const url = yield* answering((request, response) => {
          if (request.url === "/v1/journal" && ++asked <= 2) answer(response)
          else empty(request, response)
        })
        const head = Effect.flatMap(Journal, ({ head }) => head)
        expect(yield* Effect.provide(head, Remote.layerOperator({ url, retryFor: "10 seconds" }))).toBe(1)
      }))
  }

  it.scopedLive("is an error without the token and the body of the request", () =>
    Effect.gen(function*() {
      const token = Redacted.make("t0k3n")
      const nwcUrl = "nostr+walletconnect://alice?secret=5c4e"
      const create = Effect.flatMap(Command, (command) => command.createTenant({ pubkey: "ab".repeat(32), nwcUrl }))
      const outside: ReadonlyArray<(response: ServerResponse) => void> = [
        (response) => response.writeHead(404, page).end("<html>"),
        (response) => response.end("{}"),
        (response) => response.end("{"),
        (response) => response.destroy()
      ]
      for (const answer of outside) {
        const url = yield* answering((request, response) => {
          if (request.method === "POST") answer(response)
          else empty(request, response)
        })
        const error = yield* Effect.flip(Effect.provide(create, Remote.layer({ url, token, retryFor: "50 millis" })))
        expect(error._tag).toBe("StorageError")
        expect(inspect(error, { depth: Infinity, showHidden: true })).not.toMatch(/t0k3n|5c4e/)
      }
    }))
})

it.scopedLive.each([
  "caravel.example",
  "",
  "ftp://caravel.example",
  "http://user:5c4e@a.example",
  "http://a.example?5c4e"
])(
  "%s is refused as the URL of a host, without being shown",
  (url) =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Layer.build(Remote.layer({ url })))
      expect(error.message).toContain("url is not the URL of a host")
      expect(error.message).not.toContain("5c4e")
    })
)

it.scopedLive.each(["/?", "#", "/?#"])("a URL may end with %s", (end) =>
  Effect.gen(function*() {
    const url = yield* answering(empty)
    const head = Effect.flatMap(Journal, ({ head }) => head)
    expect(yield* Effect.provide(head, Remote.layerOperator({ url: url + end, retryFor: 0 }))).toBe(1)
  }))

it.scopedLive("a token that fits into no header is refused without being shown", () =>
  Effect.gen(function*() {
    const error = yield* Effect.flip(
      Layer.build(Remote.layer({ url: "http://127.0.0.1:1", token: Redacted.make("5c4e\n") }))
    )
    expect(error.message).toContain("token is not a token")
    expect(error.message).not.toContain("5c4e")
  }))

it.live("a parked activity counts as dropped also if the answer is lost, and the request sent again", () =>
  Effect.gen(function*() {
    const url = yield* HttpServer.addressFormattedWith(Effect.succeed)
    yield* (yield* Command).createTenant({ pubkey: "ab".repeat(32) })
    yield* Consumer.handleOnce({ name: "mail", from: "beginning", onFailure: "park", handle: () => Effect.fail("no") })
    const drop = Consumer.drop("mail", [1, 2])
    expect(yield* drop.pipe(losing(), Effect.provide(Remote.layerOperator({ url })))).toBe(1)
  }).pipe(Effect.provide(served(Memory.layer))))

it.live("an operator finds a consumer by any name", () =>
  Effect.gen(function*() {
    const url = yield* HttpServer.addressFormattedWith(Effect.succeed)
    const names = ["mail", "mail/1", "mail?1", "mail#1", "a b%2Dc", "é;+&=", "...", "n".repeat(256)]
    for (const name of names) yield* Consumer.handleOnce({ name, from: "beginning", handle: () => Effect.void })
    yield* Effect.gen(function*() {
      for (const name of names) {
        yield* Consumer.reset(name, 0)
        expect((yield* Consumer.lag(name)).name).toBe(name)
      }
      for (const name of ["", ".", "..", "a\ud800"]) {
        expect((yield* Effect.flip(Consumer.lag(name)))._tag).toBe("ConsumerNotFound")
      }
    }).pipe(Effect.provide(Remote.layerOperator({ url })))
  }).pipe(Effect.provide(served(Memory.layer))))

it.live("a stream that has become silent is replaced", () =>
  Effect.gen(function*() {
    const node = createServer()
    let streams = 0
    node.on("request", ({ url }) => url === "/v1/activity/stream" && streams++)
    yield* Effect.gen(function*() {
      const url = yield* HttpServer.addressFormattedWith(Effect.succeed)
      const remote = yield* Layer.build(
        Layer.provide(Remote.layer({ url }), Layer.succeed(Remote.LongestSilence, "50 millis"))
      )
      yield* Effect.repeat(nextTurn, { until: () => streams > 3 })
      const queue = yield* Context.get(remote, ActivityPubSub).subscribe
      yield* Effect.flatMap(Command, (command) => command.createTenant({ pubkey: "ab".repeat(32) }))
      expect((yield* Queue.take(queue)).position).toBe(1)
    }).pipe(
      Effect.scoped,
      Effect.provide(served(Memory.layer, {}, node).pipe(Layer.provide(Layer.succeed(EventStream.Heartbeat, "1 hour"))))
    )
  }))

it.scopedLive("a credential that is no longer accepted is reported once, and feeds go on when it is again", () => {
  const logged: Array<string> = []
  const logger = Logger.make(({ message }) => void logged.push(String(message)))
  return Effect.gen(function*() {
    let isAccepted = true
    let head = 1
    const url = yield* answering((request, response) => {
      if (!isAccepted) {
        const problem = Problem.encode(new RequestError.Forbidden({ role: "readOnly", what: "anything" }))
        response.writeHead(403, { "content-type": "application/problem+json" }).end(JSON.stringify(problem))
      } else empty(request, response, head)
    })
    const isLogged = (text: string) =>
      Effect.repeat(nextTurn, { until: () => logged.some((line) => line.includes(text)) })
    yield* Layer.build(Remote.layer({ url }))
    isAccepted = false
    yield* isLogged("The journal cannot be read for broadcasting at present")
    head = 2
    isAccepted = true

    yield* isLogged("The journal can be read again")
    expect(logged.filter((line) => line.includes("at present"))).toHaveLength(1)
  }).pipe(Effect.provide(Logger.replace(Logger.defaultLogger, logger)))
})

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
