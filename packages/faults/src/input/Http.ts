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
  /** How many commands it has, if it is accepted only for them. */
  readonly commands?: number
}

/** A request as it is sent. */
interface Request {
  readonly bytes: Buffer
  /** Whether all of it is sent, so that it must be answered. */
  readonly isWhole: boolean
  /** By how much the journal must grow if it is accepted. */
  readonly events: number | undefined
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
    body: fc.oneof({ weight: 2, arbitrary: body }, { weight: 1, arbitrary: garbled(body) }),
    commands: fc.constant(1)
  })
})

const submits: fc.Arbitrary<Parts> = fc.oneof(fc.array(withTag, { maxLength: 3 }), withTag).chain((list) =>
  fc.record({
    method: fc.constant("POST"),
    path: fc.constant("/v1/submit"),
    headers,
    body: json(fc.constant(list)),
    commands: fc.constant(Array.isArray(list) ? list.length : 1)
  })
)

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

/** Headers that say where a request ends, or what happens to its connection after it. */
const framing = ["connection", "content-length", "expect", "transfer-encoding", "upgrade"]

const requestOf = (parts: Parts): Request => {
  const has = (names: ReadonlyArray<string>) => parts.headers.some(([name]) => names.includes(name))
  return {
    bytes: bytesOf(parts),
    isWhole: !has(framing),
    // A repeated key is answered without another event.
    events: has(["idempotency-key"]) ? undefined : parts.commands
  }
}

/**
 * How long an answer may take, in milliseconds: less than the server's own timeout. A request whose announced body never
 * comes is not answered.
 */
const patience = { whole: 30_000, incomplete: 50 }

/** A live stream ends only with the connection. */
const isLive = (answer: string) => /\r\ncontent-type: (text\/event-stream|application\/x-ndjson)/i.test(answer)

/**
 * Sends a request, and reads the answer: until the connection is closed, a live stream has begun, or nothing comes.
 * Returns whether the answer has ended, too.
 */
const exchange = (port: number, { bytes, isWhole }: Request) =>
  Effect.async<{ readonly text: string; readonly isOver: boolean }>((resume) => {
    let text = ""
    const socket = connect(port, "127.0.0.1", () => socket.write(bytes))
    const end = (isOver: boolean) => {
      socket.destroy()
      resume(Effect.succeed({ text, isOver }))
    }
    socket.setTimeout(isWhole ? patience.whole : patience.incomplete, () => end(false))
    socket.on("data", (data) => {
      text += data.toString("latin1")
      if (isWhole && isLive(text)) end(true)
    })
    socket.on("close", () => end(true)).on("error", () => end(true))
    return Effect.sync(() => socket.destroy())
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

/** What does not hold after an answer. */
const wrongAfter = ({ events, isWhole }: Request, answer: string, grown: number): string | undefined => {
  // Garbled bytes may be several requests, of which the first is refused.
  if (!/HTTP\/1\.1 2/.test(answer)) {
    return grown > 0 && answer !== "" ? "it is refused, and the journal grew" : undefined
  }
  return isWhole && events !== undefined && grown !== events
    ? `it is accepted, and the journal grew by ${grown} in place of ${events}`
    : undefined
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
      Layer.provide(Server.layer({ requestTimeout: "1 minute", drainTimeout: 0 }), [
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
        { weight: 5, arbitrary: requests.map(requestOf) },
        {
          weight: 1,
          arbitrary: garbled(requests.map(bytesOf)).map((bytes) => ({ bytes, isWhole: false, events: undefined }))
        }
      ),
      answer: (request: Request): Effect.Effect<Entrance.Answer> =>
        Effect.gen(function*() {
          const before = yield* head
          const { isOver, text } = yield* exchange(port, request)
          const grown = (yield* head) - before
          const wrong = request.isWhole && (text === "" || !isOver)
            ? text === "" ? "it is not answered" : "its answer does not end"
            : wrongIn(text) ?? wrongAfter(request, text, grown)
          return wrong === undefined
            ? Number(/^HTTP\/1\.1 [23]/.test(text))
            : { wrong: `${wrong}:\n${request.bytes.toString("latin1")}\n${text}` }
        }).pipe(Effect.orDie)
    }
  })

/** Requests of any bytes. */
export const http: Entrance.Entrance = Entrance.make({
  name: "HTTP requests",
  counts: { short: 600, long: 40_000 },
  open
})
