import { commands, type CommandTag, Journal, Position, Query } from "@caravel/domain"
import { commandTable, resources } from "@caravel/domain/adapter"
import { Memory } from "@caravel/memory"
import { pubkey } from "@caravel/testing"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Option, Record as Rec, Redacted, Tracer } from "effect"
import { command, get, onEach, send, served } from "./fixtures/served.js"

const alice = pubkey("alice")
const secret = "nostr+walletconnect://wallet?secret=5c4e"

/** The values of fields that a command requires. */
const required: Record<string, string> = {
  pubkey: alice,
  id: "main",
  tenant: alice,
  subdomain: "main",
  syncError: "no",
  nwcError: "no",
  stripeSubscriptionId: "sub_1",
  stripeSubscriptionItemId: "si_1"
}

const path = (tag: string) => tag.replace(/(?!^)[A-Z]/g, (letter) => `-${letter}`).toLowerCase()

const payload = (tag: CommandTag) =>
  Rec.filter(
    required,
    (_, name) => Object.hasOwn(commands[tag].fields, name) && !(tag === "UpdateRelay" && name === "subdomain")
  )

const events = Effect.flatMap(Journal, (journal) => journal.read(Position.make(0), 100))

describe("commands", () => {
  onEach(
    "each has a route, which answers its activity, or nothing if it logs none",
    Effect.gen(function*() {
      for (const tag of Rec.keys(commands)) {
        const { activity, event, resource } = commandTable[tag]
        const answer = yield* command(path(tag), payload(tag))
        expect([tag, answer.status]).toEqual([tag, activity === null ? 204 : 200])
        if (activity === null) expect(answer.text).toBe("")
        else expect(answer.json).toMatchObject({ activityType: activity, resourceType: resource, tenant: alice })
        expect((yield* events).at(-1)?._tag).toBe(event)
      }
    })
  )

  onEach(
    "a list is executed as a whole or not at all",
    Effect.gen(function*() {
      const list = [
        { _tag: "CreateTenant", pubkey: alice },
        { _tag: "SetTenantPastDue", pubkey: alice },
        { _tag: "CreateRelay", id: "main", tenant: alice, subdomain: "main" }
      ]
      const refused = yield* send("POST", "/v1/submit", { body: [...list, list[2]] })
      expect([refused.status, refused.json.type]).toEqual([409, "urn:caravel:problem:relay-already-exists"])
      expect(yield* events).toEqual([])
      const { json } = yield* send("POST", "/v1/submit", { body: list })
      expect(json).toMatchObject([{ position: 1, activityType: "create_tenant" }, null, { position: 3 }])
    })
  )

  onEach(
    "are refused with a problem that has the error's fields",
    Effect.gen(function*() {
      yield* command("create-tenant", { pubkey: alice })
      yield* command("create-relay", { id: "a", tenant: alice, subdomain: "a" })
      const bob = pubkey("bob")
      const answers = [
        [yield* command("create-tenant", { pubkey: alice }), 409, "tenant-already-exists", { pubkey: alice }],
        [yield* command("update-tenant", { pubkey: bob }), 404, "tenant-not-found", { pubkey: bob }],
        [yield* command("activate-relay", { id: "b" }), 404, "relay-not-found", { id: "b" }],
        [yield* command("create-relay", { id: "b", tenant: alice, subdomain: "a" }), 409, "subdomain-taken", {
          subdomain: "a"
        }],
        [yield* command("activate-relay", { id: "a" }, { "if-match": "\"7\"" }), 412, "version-conflict", {
          expected: 7,
          actual: 1
        }],
        [yield* command("update-relay", { id: "a", plan: "No plan" }), 400, "invalid-request", {
          issues: [{ path: "plan", message: expect.stringContaining("Expected a plan's slug") }]
        }],
        [yield* command("update-relay", { id: "a", plna: "free" }), 400, "invalid-request", {
          issues: [{ path: "plna", message: "UpdateRelay has no such field" }]
        }],
        [
          yield* send("POST", "/v1/submit", { body: [{ _tag: "ActivateRelay", id: "a", plna: 1 }] }),
          400,
          "invalid-request",
          {
            issues: [{ path: "0.plna", message: "ActivateRelay has no such field" }]
          }
        ],
        [yield* send("POST", "/v1/submit", { body: [{ _tag: "ActivateRelay", id: "" }] }), 400, "invalid-request", {
          issues: [{ path: "0.id", message: expect.stringContaining("Expected a relay id") }]
        }]
      ] as const
      for (const [{ headers, json, status }, expectedStatus, type, members] of answers) {
        expect(json).toMatchObject({
          type: `urn:caravel:problem:${type}`,
          title: expect.any(String),
          status: expectedStatus,
          detail: expect.any(String),
          ...members
        })
        expect([status, headers.get("content-type")]).toEqual([expectedStatus, "application/problem+json"])
      }
      expect(yield* events).toHaveLength(2)
    })
  )
})

describe("headers", () => {
  onEach(
    "an idempotency key makes a command safe to repeat",
    Effect.gen(function*() {
      const key = { "idempotency-key": "8e03978e-40d5-43dd-bc93-6894a57f9324" }
      const first = yield* command("create-tenant", { pubkey: alice }, key)
      expect((yield* command("create-tenant", { pubkey: alice }, key)).json).toEqual(first.json)
      const other = yield* command("set-tenant-past-due", { pubkey: alice }, key)
      expect([other.status, other.json.type]).toEqual([409, "urn:caravel:problem:idempotency-conflict"])
      expect(yield* events).toHaveLength(1)
    })
  )

  onEach(
    "the version of an ETag is expected by If-Match, also after a proxy has changed the tag",
    Effect.gen(function*() {
      expect((yield* command("create-tenant", { pubkey: alice }, { "if-match": "\"0\"" })).status).toBe(200)
      const { headers } = yield* get(`/v1/tenants/${alice}`)
      expect(headers.get("etag")).toBe("\"1\"")
      const tags = ["\"1\"", "W/\"2\"", "\"3-gzip\"", "4"]
      for (const tag of tags) {
        expect((yield* command("set-tenant-past-due", { pubkey: alice }, { "if-match": tag })).status).toBe(204)
      }
      for (const tag of tags) {
        expect((yield* command("set-tenant-past-due", { pubkey: alice }, { "if-match": tag })).status).toBe(412)
      }
      expect((yield* command("set-tenant-past-due", { pubkey: alice }, { "if-match": "*" })).json).toMatchObject({
        status: 400,
        issues: [{ path: "if-match" }]
      })
    })
  )

  onEach(
    "metadata is stored with the event, percent-encoded or as UTF-8",
    Effect.gen(function*() {
      yield* command("create-tenant", { pubkey: alice }, {
        "caravel-actor": "J%C3%BCrgen 100%25",
        "caravel-correlation-id": Buffer.from("Grüße 5%").toString("latin1"),
        "caravel-causation-id": "mail-7"
      })
      const { metadata } = (yield* events)[0]!
      expect(metadata).toMatchObject({ actor: "Jürgen 100%", correlationId: "Grüße 5%", causationId: "mail-7" })
    })
  )

  it.live("a command belongs to the trace of traceparent", () =>
    Effect.gen(function*() {
      const { context, span } = yield* Effect.tracer
      const traceId = "0af7651916cd43dd8448eb211c80319c"
      const traced = Effect.zipRight(
        command("create-tenant", { pubkey: alice }, { traceparent: `00-${traceId}-b7ad6b7169203331-01` }),
        events
      )
      const [event] = yield* traced.pipe(
        Effect.provide(served(Memory.layer)),
        Effect.withTracer(Tracer.make({ context, span }))
      )
      expect(event?.metadata.traceId).toBe(traceId)
    }))

  it.live("a tracer records one span of the server for a request, with what the platform says of it", () =>
    Effect.gen(function*() {
      const { context, span } = yield* Effect.tracer
      const spans: Array<Tracer.Span> = []
      const recording = Tracer.make({
        context,
        span: (...args) => {
          const made = span(...args)
          if (made.kind === "server") spans.push(made)
          return made
        }
      })
      yield* command("create-tenant", { pubkey: alice }).pipe(
        Effect.provide(served(Memory.layer)),
        Effect.withTracer(recording)
      )
      const path = "/v1/commands/create-tenant"
      expect(spans.map(({ attributes }) => [attributes.get("url.path"), attributes.get("http.route")])).toEqual([
        [path, path]
      ])
    }))
})

describe("secrets", () => {
  onEach(
    "a wallet URL is stored, and is in no answer",
    Effect.gen(function*() {
      const name = resources.tenant.secret
      const answers = [
        yield* command("create-tenant", { pubkey: alice, [name]: secret }),
        yield* get(`/v1/tenants/${alice}`),
        yield* get("/v1/tenants"),
        yield* command("update-tenant", { pubkey: alice, [name]: `${secret} x` }),
        yield* command("create-relay", { id: secret, tenant: alice, subdomain: secret }),
        yield* send("POST", "/v1/commands/create-tenant", { body: `{"${name}":"${secret}"` }),
        yield* send("POST", "/v1/submit", { body: JSON.stringify(secret) }),
        yield* get(`/v1/relays/${encodeURIComponent(secret)}`),
        yield* get(`/v1/relays?subdomain=${encodeURIComponent(secret)}`)
      ]
      expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 400, 400, 400, 400, 400, 400])
      for (const { text } of answers) expect(text).not.toMatch(/5c4e/)
      expect(answers[1]?.json[name]).toBe("set")
      const stored = yield* Effect.flatMap(Query, (query) => query.tenant(alice))
      expect(Option.map(stored, (tenant) => tenant[name])).toEqual(Option.some(Redacted.make(secret)))
      yield* command("update-tenant", { pubkey: alice, [name]: null })
      expect((yield* get(`/v1/tenants/${alice}`)).json[name]).toBe(null)
    })
  )
})
