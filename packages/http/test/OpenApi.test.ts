/** The OpenAPI document is valid, and the server does what it says, and nothing else. */
import { LongRun } from "@caravel/conformance"
import { Command, commands, Journal } from "@caravel/domain"
import { Api } from "@caravel/http"
import { Memory } from "@caravel/memory"
import { pubkey } from "@caravel/testing"
import * as HttpApi from "@effect/platform/HttpApi"
import * as OpenApi from "@effect/platform/OpenApi"
import { describe, expect, it } from "@effect/vitest"
import { Validator } from "@seriousme/openapi-schema-validator"
import { Ajv2020, type ValidateFunction } from "ajv/dist/2020.js"
import { Chunk, Effect, FastCheck as fc, Layer, Logger, LogLevel, Record as Rec, Stream } from "effect"
import { accept, host, Logged, wallet } from "./fixtures/credentials.js"
import { operationsOf, type Request, requestsOf, secret } from "./fixtures/generated.js"
import { served, url } from "./fixtures/served.js"

const document: any = JSON.parse(JSON.stringify(OpenApi.fromApi(Api)))
const operations = operationsOf(document)

describe("the document", () => {
  it("is valid OpenAPI 3.1", async () => {
    const validator = new Validator()
    const { errors, valid } = await validator.validate(structuredClone(document))
    expect([errors, valid, validator.version]).toEqual([undefined, true, "3.1"])
  })

  it("has a route for each command, and every route of the API", () => {
    const paths = operations.map(({ method, path }) => `${method} ${path}`)
    for (const tag of Rec.keys(commands)) {
      expect(paths).toContain(`POST /v1/commands/${tag.replace(/(?!^)[A-Z]/g, (letter) => `-${letter}`).toLowerCase()}`)
    }
    HttpApi.reflect(Api, {
      onGroup: () => {},
      onEndpoint: ({ endpoint }) =>
        expect(paths).toContain(`${endpoint.method} ${endpoint.path.replace(/:(\w+)/g, "{$1}")}`)
    })
  })

  it("names its components as the specification allows", () => {
    for (const name of Object.keys(document.components.schemas)) expect(name).toMatch(/^[\w.-]+$/)
  })
})

const ajv = new Ajv2020({ strict: false, validateFormats: false })
ajv.addSchema(document, "document")

const escaped = (segment: string) => segment.replaceAll("~", "~0").replaceAll("/", "~1")

const validators = new Map<string, ValidateFunction>()
const validatorOf = ({ operation: { method, path } }: Request, status: number, contentType: string) => {
  const pointer = [path, method.toLowerCase(), "responses", String(status), "content", contentType].map(escaped).join(
    "/"
  )
  const validator = validators.get(pointer) ?? ajv.compile({ $ref: `document#/paths/${pointer}/schema` })
  validators.set(pointer, validator)
  return validator
}

/** What a response says: of a stream that does not end, the first piece. */
const textOf = async (response: Response) => {
  if (response.headers.get("content-type") !== "text/event-stream") return response.text()
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader()
  const { value = "" } = await reader.read()
  await reader.cancel()
  return value
}

/** Sends a request, and checks that the answer is one that the document describes, and says no secret. */
const check = async (base: string, request: Request, authorization: Record<string, string>) => {
  const { operation, method } = request.operation
  const response = await fetch(`${base}${request.url}`, {
    method,
    headers: { ...request.headers, ...authorization },
    body: request.body ?? null,
    signal: AbortSignal.timeout(30_000)
  })
  const described = operation.responses[response.status]
  const said = `${method} ${request.url} ${JSON.stringify(request.headers)} ${request.body}`
  expect(described, `${response.status} of ${said}`).toBeDefined()
  // No request is a bug of the host, or too much for its database.
  expect(response.status, said).toBeLessThan(500)
  const contentType = response.headers.get("content-type")
  const text = await textOf(response)
  expect(text + JSON.stringify([...response.headers]), said).not.toContain(secret)
  if (described.content === undefined) {
    expect([text, contentType]).toEqual(["", null])
    return response.status
  }
  expect(Object.keys(described.content)).toContain(contentType)
  if (contentType === "text/event-stream") expect(text).toMatch(/^(id: [0-9a-f-]{36}:\d+\n)?retry: \d+\n\n/)
  else if (contentType === "application/x-ndjson") { for (const line of text.trim().split("\n")) JSON.parse(line) }
  else if (contentType!.endsWith("json")) {
    const validate = validatorOf(request, response.status, contentType!)
    expect(validate(JSON.parse(text)) ? [] : validate.errors, `${text} of ${said}`).toEqual([])
  }
  return response.status
}

/** Sends as many random requests, each with one of the headers. Returns the statuses of each route. */
const sendAll = (runs: number, authorizations: ReadonlyArray<Record<string, string>>) =>
  Effect.gen(function*() {
    const base = yield* url
    const statuses = new Map<string, Set<number>>()
    yield* Effect.promise(() =>
      fc.assert(
        fc.asyncProperty(requestsOf(document), fc.constantFrom(...authorizations), async (request, authorization) => {
          const status = await check(base, request, authorization)
          const { method, path } = request.operation
          const seen = statuses.get(`${method} ${path}`) ?? new Set()
          statuses.set(`${method} ${path}`, seen.add(status))
        }),
        { numRuns: runs, seed: LongRun.seed, endOnFailure: true }
      )
    )
    expect([...statuses.keys()].sort()).toEqual(operations.map(({ method, path }) => `${method} ${path}`).sort())
    return new Set([...statuses.values()].flatMap((seen) => [...seen]))
  })

/** The journal has grown, and every row is as it says. */
const isSound = Effect.gen(function*() {
  const journal = yield* Journal
  const steps = Chunk.toReadonlyArray(yield* Stream.runCollect(journal.verify))
  expect(steps.flatMap(({ differences }) => differences)).toEqual([])
  expect(yield* journal.head).toBeGreaterThan(4)
})

/** Without a line for each request. */
const quiet = Logger.minimumLogLevel(LogLevel.Error)

const runs = LongRun.count("CARAVEL_REQUESTS", { usual: 500, long: 20_000 })

describe("random requests, valid and invalid, to every route, are answered as the document says, without a secret", () => {
  it.live("by a host in memory, without credentials", () =>
    Effect.gen(function*() {
      const command = yield* Command
      yield* command.createTenant({ pubkey: pubkey("alice") })
      yield* command.createRelay({ id: "a", tenant: pubkey("alice"), subdomain: "a" })
      // Commands were both accepted and refused.
      const statuses = yield* sendAll(runs, [{}])
      for (const status of [200, 204, 400, 404, 409]) expect(statuses).toContain(status)
      yield* isSound
    }).pipe(Effect.provide(Layer.provide(served(Memory.layer), quiet))), LongRun.timeout(300_000))

  it.live("by a host on a file, with credentials of each role, and with none", () =>
    Effect.gen(function*() {
      const roles = ["admin", "worker", "readOnly", "tenant"] as const
      const tokens = yield* Effect.forEach(roles, (role) => accept(role, role))
      const statuses = yield* sendAll(runs, [...tokens, tokens[0], tokens[0], { authorization: "Bearer x" }, {}])
      for (const status of [200, 400, 401, 403, 404]) expect(statuses).toContain(status)
      yield* isSound
      const logged = (yield* Logged).join("\n")
      for (const text of [secret, wallet, ...tokens.map(({ authorization }) => authorization.slice(7))]) {
        expect(logged).not.toContain(text)
      }
    }).pipe(Effect.provide(host({ maxBody: 500 }))), LongRun.timeout(300_000))
})

it.live("paths that no route has are problems", () =>
  Effect.gen(function*() {
    const base = yield* url
    const paths = fc.array(fc.oneof(fc.string(), fc.constantFrom("v1", "relays", "commands", "..", "%", "%00", "a")))
    yield* Effect.promise(() =>
      fc.assert(
        fc.asyncProperty(paths, fc.constantFrom("GET", "POST", "PUT", "PATCH", "DELETE"), async (segments, method) => {
          const path = segments.map((segment) => segment.includes("%") ? segment : encodeURIComponent(segment)).join(
            "/"
          )
          const response = await fetch(`${base}/${path}`, { method })
          if (response.status === 200) return
          expect([400, 404, 405, 415]).toContain(response.status)
          expect(response.headers.get("content-type")).toBe("application/problem+json")
        }),
        { numRuns: 100, seed: LongRun.seed }
      )
    )
  }).pipe(Effect.provide(Layer.provide(served(Memory.layer), quiet))))
