/** What operators see and set: metrics, the log, readiness, headers, other origins, and the time limit. */
import { Journal, Query, StorageError } from "@caravel/domain"
import { nextTurn } from "@caravel/domain/adapter"
import { Credentials, Server, SingleUse } from "@caravel/http"
import { Memory } from "@caravel/memory"
import { Consumer } from "@caravel/pubsub"
import { pubkey } from "@caravel/testing"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { describe, expect, it } from "@effect/vitest"
import {
  Duration,
  Effect,
  Fiber,
  HashMap,
  Layer,
  Logger,
  LogLevel,
  Metric,
  MetricBoundaries,
  Schedule,
  Stream
} from "effect"
import { createServer } from "node:http"
import { command, get, onEach, send, served, type Services, withQuery } from "./fixtures/served.js"

const alice = pubkey("alice")

/** A line of the text format of Prometheus, version 0.0.4. */
const line =
  /^(# HELP \w+ .+|# TYPE \w+ (counter|gauge|histogram|summary|untyped)|\w+(\{(\w+="([^"\\\n]|\\["\\n])*",?)+\})? (-?\d+(\.\d+)?(e[+-]?\d+)?|NaN|[+-]Inf))$/

describe("/metrics", () => {
  onEach(
    "has every metric of the process in the text format of Prometheus",
    Effect.gen(function*() {
      yield* Metric.increment(Metric.tagged(Metric.counter("test.counter"), "quoted-label", "a \"b\"\\\n"))
      yield* Metric.set(Metric.gauge("test_gauge", { description: "first\nsecond" }), -1.5)
      yield* Metric.update(Metric.frequency("test_frequency"), "yes")
      yield* Metric.update(Metric.histogram("test_histogram", MetricBoundaries.fromIterable([1, 10])), 5)
      yield* Metric.update(
        Metric.summary({ name: "test_summary", maxAge: "1 minute", maxSize: 10, error: 0, quantiles: [0.5, 1] }),
        3
      )
      yield* get("/v1/relays/a")
      const { headers, text } = yield* get("/metrics")
      expect(headers.get("content-type")).toBe("text/plain; version=0.0.4; charset=utf-8")
      const lines = text.split("\n")
      expect(lines.pop()).toBe("")
      expect(lines.filter((text) => !line.test(text))).toEqual([])
      // One type for each name, before its samples, which stand together.
      const types = lines.filter((text) => text.startsWith("# TYPE"))
      expect(new Set(types).size).toBe(types.length)
      for (
        const expected of [
          "# TYPE test_counter counter",
          "test_counter{quoted_label=\"a \\\"b\\\"\\\\\\n\"} ",
          "# HELP test_gauge first\\nsecond",
          "test_gauge -1.5",
          "test_frequency{key=\"yes\"} ",
          "test_histogram_bucket{le=\"1\"} 0",
          "test_histogram_bucket{le=\"10\"} ",
          "test_histogram_bucket{le=\"+Inf\"} ",
          "test_histogram_count ",
          "test_summary{quantile=\"0.5\"} 3",
          "caravel_http_request_seconds_count{method=\"GET\",route=\"/v1/relays/:id\",status=\"404\"} "
        ]
      ) expect(lines.filter((text) => text.startsWith(expected)), expected).not.toEqual([])
    })
  )
})

describe("the log", () => {
  const logging = <E>(services: Layer.Layer<Services, E>) => {
    const lines: Array<{ readonly level: string; readonly message: string; readonly annotations: object }> = []
    const logger = Logger.make(({ annotations, logLevel, message }) => {
      lines.push({
        level: logLevel.label,
        message: String(message),
        annotations: Object.fromEntries(HashMap.toEntries(annotations))
      })
    })
    return {
      lines,
      layer: Layer.provideMerge(
        served(services),
        Layer.merge(Logger.replace(Logger.defaultLogger, logger), Logger.minimumLogLevel(LogLevel.Debug))
      )
    }
  }

  it.live("has one line a request, with its trace, and nothing of its query or body", () => {
    const { layer, lines } = logging(Memory.layer)
    const traceId = "0af7651916cd43dd8448eb211c80319c"
    return Effect.gen(function*() {
      yield* command("create-tenant", { pubkey: alice, nwcUrl: "nostr+walletconnect://5c4e?secret=5c4e" }, {
        traceparent: `00-${traceId}-b7ad6b7169203331-01`
      })
      yield* get("/v1/relays?subdomain=5c4e")
      yield* get("/healthz")
      expect(lines).toMatchObject([
        { level: "INFO", message: "POST /v1/commands/create-tenant 200", annotations: { traceId } },
        { level: "INFO", message: "GET /v1/relays 200", annotations: { milliseconds: expect.any(Number) } },
        { level: "DEBUG", message: "GET /healthz 200" }
      ])
      yield* get(`/v1/relays/${encodeURIComponent("nostr+walletconnect://b889?secret=5c4e")}`)
      expect(lines.at(-1)).toMatchObject({ message: "GET /v1/relays/<redacted> 400" })
      expect(JSON.stringify(lines)).not.toMatch(/5c4e/)
    }).pipe(Effect.provide(layer))
  })

  it.live("has the cause of a storage error, which its client does not receive", () => {
    const broken = new StorageError({ reason: "other", operation: "read", cause: new Error("the disk is on fire") })
    const { layer, lines } = logging(
      Layer.provideMerge(
        Layer.effect(Journal, Effect.map(Journal, (journal) => ({ ...journal, verify: Stream.fail(broken) }))),
        withQuery((query) => ({ ...query, relay: () => broken }))
      )
    )
    return Effect.gen(function*() {
      for (const answer of [yield* get("/v1/relays/a"), yield* send("POST", "/v1/verify")]) {
        expect(answer.text).toContain("the host's log has the cause")
        expect(answer.text).not.toContain("fire")
      }
      const message = "Storage failed at read: the disk is on fire"
      expect(lines.filter(({ level }) => level === "WARN")).toMatchObject([
        { message },
        { message: "GET /v1/relays/a 503" },
        { message }
      ])
    }).pipe(Effect.provide(layer))
  })
})

describe("readiness", () => {
  it.live("ends while a consumer is further behind than allowed", () =>
    Effect.gen(function*() {
      let broken = true
      const consuming = yield* Effect.fork(Consumer.run({
        name: "mail",
        from: "beginning",
        retry: Schedule.spaced("5 millis"),
        handle: () => broken ? Effect.fail("no mail") : Effect.void
      }))
      yield* command("create-tenant", { pubkey: alice })
      expect((yield* get("/readyz")).json).toEqual({ status: "ready" })
      yield* command("update-tenant", { pubkey: alice, stripeCustomerId: "c" })
      const { headers, json, status } = yield* get("/readyz")
      expect([status, headers.get("retry-after")]).toEqual([503, "1"])
      expect(json).toMatchObject({
        type: "urn:caravel:problem:consumers-behind",
        consumers: [{ name: "mail", activities: 2 }]
      })
      // The host executes requests all the same.
      expect((yield* get("/v1/tenants")).status).toBe(200)
      broken = false
      yield* Consumer.awaitPosition("mail", yield* Effect.flatMap(Journal, ({ head }) => head))
      expect((yield* get("/readyz")).status).toBe(200)
      yield* Fiber.interrupt(consuming)
    }).pipe(Effect.provide(served(Memory.layer, { maxLag: 1 }))))
})

describe("answers", () => {
  onEach(
    "are neither stored, framed nor executed by a browser",
    Effect.gen(function*() {
      for (const path of ["/v1/relays", "/v1/relays/a", "/none", "/healthz"]) {
        const { headers } = yield* get(path)
        expect(headers.get("cache-control")).toMatch(/no-store|no-cache/)
        expect(headers.get("content-security-policy")).toBe("default-src 'none'; frame-ancestors 'none'")
        expect(headers.get("x-content-type-options")).toBe("nosniff")
      }
      for (const path of ["/docs", "/docs/", "/Docs?a=1"]) {
        const { headers, status } = yield* get(path)
        expect([path, status]).toEqual([path, 200])
        expect(headers.get("content-security-policy")).toMatch(/script-src 'unsafe-inline'/)
      }
    })
  )

  it.live("take no longer than allowed, and a command that took longer may be repeated", () => {
    const slow = Layer.effect(
      Query,
      Effect.map(Query, (query) => ({ ...query, relay: () => Effect.never }))
    ).pipe(Layer.provideMerge(Memory.layer))
    return Effect.gen(function*() {
      const { headers, json, status } = yield* get("/v1/relays/a")
      expect([status, json.type, headers.get("retry-after")]).toEqual([503, "urn:caravel:problem:timed-out", "1"])
      // A stream goes on.
      expect((yield* get("/v1/activity/stream")).status).toBe(200)
    }).pipe(Effect.provide(served(slow, { requestTimeout: "50 millis" })))
  })
})

it.live("a time limit may be longer than a timer of JavaScript can be", () => {
  const slow = Layer.effect(
    Query,
    Effect.map(Query, (query) => ({
      ...query,
      relay: (id) =>
        Effect.suspend(() => {
          // Longer than the shortest timer.
          const until = performance.now() + 5
          return Effect.zipRight(Effect.repeat(nextTurn, { until: () => performance.now() > until }), query.relay(id))
        })
    }))
  ).pipe(Layer.provideMerge(Memory.layer))
  return Effect.forEach(["25 days", Duration.infinity] as const, (requestTimeout) =>
    Effect.gen(function*() {
      expect((yield* get("/v1/relays/a")).status).toBe(404)
    }).pipe(Effect.provide(served(slow, { requestTimeout }))))
})

describe("web pages", () => {
  const origin = "https://admin.example"
  const credentials = Effect.succeed(Credentials.Credentials.make({ tokens: [] }))
  const open = (origins?: ReadonlyArray<string>) =>
    Server.layerWithCredentials({ credentials, origins }).pipe(
      Layer.provideMerge(NodeHttpServer.layer(() => createServer(), { host: "127.0.0.1", port: 0 })),
      Layer.provide([Memory.layer, SingleUse.layerMemory])
    )

  it.live("of the configured origins may use the API, and no others", () =>
    Effect.gen(function*() {
      const preflight = (origin: string) =>
        send("OPTIONS", "/v1/relays", {
          headers: { origin, "access-control-request-method": "GET", "access-control-request-headers": "authorization" }
        })
      const allowed = yield* preflight(origin)
      expect(allowed.status).toBe(204)
      expect(allowed.headers.get("access-control-allow-origin")).toBe(origin)
      const { headers, status } = yield* get("/v1/relays", { origin })
      expect([status, headers.get("access-control-allow-origin")]).toEqual([401, origin])
      expect((yield* preflight("https://other.example")).headers.get("access-control-allow-origin")).not.toBe(
        "https://other.example"
      )
    }).pipe(Effect.provide(open([origin, "https://second.example"]))))

  it.live.each([{ origins: undefined }, { origins: [] }])(
    "may not use it with the origins $origins",
    ({ origins }) =>
      Effect.gen(function*() {
        const { headers } = yield* send("OPTIONS", "/v1/relays", {
          headers: { origin, "access-control-request-method": "GET" }
        })
        expect(headers.get("access-control-allow-origin")).toBeNull()
      }).pipe(Effect.provide(open(origins)))
  )
})
