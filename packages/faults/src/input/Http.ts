/** Input from the network: requests as bytes, to a server in this process. */
import { Journal } from "@caravel/domain"
import { Api, Server } from "@caravel/http"
import { Memory } from "@caravel/memory"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as HttpServer from "@effect/platform/HttpServer"
import * as OpenApi from "@effect/platform/OpenApi"
import { Context, Effect, FastCheck as fc, Layer } from "effect"
import { createServer } from "node:http"
import { connect } from "node:net"
import * as Entrance from "./Entrance.js"
import { secret, tagged } from "./Payloads.js"
import { edited, garbled, jsonValues, texts } from "./Values.js"

const kebab = (tag: string) => tag.replace(/[A-Z]/g, (letter, at) => `${at === 0 ? "" : "-"}${letter.toLowerCase()}`)

/** A request of which any part may be wrong. */
interface Parts {
  readonly method: string
  readonly path: string
  readonly headers: ReadonlyArray<Header>
  readonly body: Buffer
}

const pubkey = "a".repeat(64)

const segment = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom("a", "b", pubkey, "1", "__proto__") },
  { weight: 1, arbitrary: texts.map((text) => encodeURIComponent(Buffer.from(text).toString())) },
  { weight: 1, arbitrary: fc.constantFrom("%", "%zz", "%c3%28", "..", "%2e%2e", "%00", ";", "") }
)

const query = fc.array(
  fc.tuple(
    fc.constantFrom(
      "after",
      "limit",
      "cursor",
      "tenant",
      "from",
      "to",
      "at",
      "status",
      "subdomain",
      "activityType",
      "x"
    ),
    segment
  ).map(([name, value]) => `${name}=${value}`),
  { maxLength: 3 }
).map((pairs) => pairs.length === 0 ? "" : `?${pairs.join("&")}`)

const path = (template: string) =>
  fc.tuple(fc.array(segment, { minLength: 2, maxLength: 2 }), query).map(([segments, query]) => {
    const rest = [...segments]
    return template.replace(/\{\w+\}/g, () => rest.shift()!) + query
  })

type Header = readonly [name: string, value: string]

const upgrade: ReadonlyArray<Header> = [["connection", "upgrade"], ["upgrade", "h2c"]]

const anyHeaders: fc.Arbitrary<ReadonlyArray<Header>> = fc.array(
  fc.oneof(
    { weight: 2, arbitrary: fc.tuple(fc.constant("idempotency-key"), fc.constantFrom("1", "2")) },
    { weight: 1, arbitrary: fc.tuple(fc.constant("if-match"), fc.constantFrom("\"1\"", "W/\"3-gzip\"", "*", "x")) },
    {
      weight: 2,
      arbitrary: fc.tuple(
        fc.constantFrom(
          ...["content-type", "content-length", "transfer-encoding", "content-encoding", "accept", "authorization"],
          ...[
            "if-match",
            "if-none-match",
            "idempotency-key",
            "last-event-id",
            "traceparent",
            "origin",
            "host",
            "cookie"
          ],
          ...["caravel-actor", "expect", "connection", "upgrade", "range", "x-forwarded-for"]
        ),
        fc.oneof(
          texts,
          fc.constantFrom("chunked", "gzip", "100-continue", "-1", "1e9", "Bearer x", "Nostr e30=", "*/*")
        )
      )
    }
  ),
  { maxLength: 2 }
)

const headers = fc.oneof(
  { weight: 9, arbitrary: anyHeaders },
  { weight: 1, arbitrary: anyHeaders.map((headers) => [...headers, ...upgrade]) }
)

const json = (values: fc.Arbitrary<unknown>) => values.map((value) => Buffer.from(JSON.stringify(value) ?? ""))

const withTag = edited(tagged, jsonValues)

const commands: fc.Arbitrary<Parts> = tagged.chain((command) => {
  const { _tag, ...payload } = command
  const body = json(edited(fc.constant(payload), jsonValues))
  return fc.record({
    method: fc.constant("POST"),
    path: fc.constant(`/v1/commands/${kebab(String(_tag))}`),
    headers,
    body: fc.oneof({ weight: 2, arbitrary: body }, { weight: 1, arbitrary: garbled(body) })
  })
})

const submits: fc.Arbitrary<Parts> = fc.record({
  method: fc.constant("POST"),
  path: fc.constant("/v1/submit"),
  headers,
  body: json(fc.oneof(fc.array(withTag, { maxLength: 3 }), withTag))
})

const others = (operations: ReadonlyArray<readonly [method: string, path: string]>): fc.Arbitrary<Parts> =>
  fc.constantFrom(...operations).chain(([method, template]) =>
    fc.record({
      method: fc.oneof({ weight: 9, arbitrary: fc.constant(method) }, {
        weight: 1,
        arbitrary: fc.constantFrom("GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE", "PROPFIND")
      }),
      path: path(template),
      headers,
      body: fc.oneof({ weight: 3, arbitrary: fc.constant(Buffer.of()) }, { weight: 1, arbitrary: json(jsonValues) })
    })
  )

/** A request as bytes. What a header cannot carry is left to the parser of Node. */
const bytesOf = ({ body, headers, method, path }: Parts) => {
  const usual = new Map([
    ["host", "127.0.0.1"],
    ["connection", "close"],
    ["content-type", "application/json"],
    ["content-length", String(body.length)]
  ])
  const lines = [...usual.entries()].filter(([name]) => !headers.some(([other]) => other === name))
  return Buffer.concat([
    Buffer.from(
      [`${method} ${path} HTTP/1.1`, ...[...lines, ...headers].map(([name, value]) => `${name}: ${value}`)].join("\r\n")
    ),
    Buffer.from("\r\n\r\n"),
    body
  ])
}

/** How long an answer may be awaited: a request whose announced body never comes is not answered. */
const patience = 50

/** Sends bytes, and reads the answer until the connection is closed, or a live stream or an incomplete request is awaited. */
const exchange = (port: number, bytes: Buffer) =>
  Effect.async<string>((resume) => {
    let text = ""
    const socket = connect(port, "127.0.0.1", () => socket.write(bytes))
    const end = () => {
      socket.destroy()
      resume(Effect.succeed(text))
    }
    socket.setTimeout(patience, end)
    socket.on("data", (data) => text += data.toString("latin1")).on("close", end).on("error", end)
    return Effect.sync(end)
  })

/** What does not hold in an answer. Node itself refuses what is not HTTP, without a body. */
const wrongIn = (answer: string): string | undefined => {
  if (answer === "") return undefined
  const [, code = ""] = /^HTTP\/1\.1 (\d{3}) /.exec(answer) ?? []
  const status = Number(code)
  if (!(status >= 100 && status < 600)) return "it is no HTTP"
  if (status >= 500 && status !== 503 && status !== 501) return `the status is ${status}`
  if (answer.includes(secret)) return "it shows a wallet URL"
  const at = answer.indexOf("\r\n\r\n")
  const body = answer.slice(at + 4)
  const isNode = /^HTTP\/1\.1 (400|408|413|417|431) /.test(answer) && (body === "" || body === "0\r\n\r\n")
  if (status < 400 || isNode || /^HEAD/.test(answer) || body === "") {
    return undefined
  }
  return /content-type: application\/problem\+json/i.test(answer.slice(0, at))
    ? undefined
    : "an error without a problem document"
}

/** The methods and the paths of the API. */
const operations = Object.entries(OpenApi.fromApi(Api).paths).flatMap(([path, methods]) =>
  Object.keys(methods).map((method) => [method.toUpperCase(), path] as const)
)

const open = () =>
  Effect.gen(function*() {
    const node = Server.endAbandoned(createServer())
    const services = yield* Layer.build(Memory.layer)
    const server = yield* Layer.build(NodeHttpServer.layer(() => node, { host: "127.0.0.1", port: 0 }))
    yield* Layer.build(
      Layer.provide(Server.layer({ requestTimeout: "5 seconds", drainTimeout: 0 }), [
        Layer.succeedContext(services),
        Layer.succeedContext(server)
      ])
    )
    yield* Effect.addFinalizer(() => Effect.sync(() => node.closeAllConnections()))
    const { address } = Context.get(server, HttpServer.HttpServer)
    const port = address._tag === "TcpAddress" ? address.port : 0
    const requests = fc.oneof(
      { weight: 4, arbitrary: commands },
      { weight: 1, arbitrary: submits },
      { weight: 4, arbitrary: others(operations) }
    )
    const { head } = Context.get(services, Journal)
    return {
      inputs: fc.oneof(
        { weight: 5, arbitrary: requests.map(bytesOf) },
        { weight: 1, arbitrary: garbled(requests.map(bytesOf)) }
      ),
      answer: (bytes: Buffer): Effect.Effect<Entrance.Answer> =>
        Effect.gen(function*() {
          const before = yield* head
          const answer = yield* exchange(port, bytes)
          const wrong = wrongIn(answer)
          if (wrong !== undefined) return { wrong: `${wrong}:\n${bytes.toString("latin1")}\n${answer}` }
          const accepted = /^HTTP\/1\.1 [23]/.test(answer)
          // Garbled bytes may be several requests, of which the first is refused.
          const grown = (yield* head) - before
          return grown > 0 && answer !== "" && !/HTTP\/1\.1 2/.test(answer)
            ? { wrong: `it is refused, and the journal grew:\n${bytes.toString("latin1")}\n${answer}` }
            : Number(accepted)
        }).pipe(Effect.orDie)
    }
  })

/** Requests of any bytes. */
export const http: Entrance.Entrance = Entrance.make({
  name: "HTTP requests",
  counts: { short: 600, long: 40_000 },
  open
})
