/** Tokens and signed requests, what a tenant sees, and whom the events name. */
import { Command, History, Journal, Position, type Pubkey } from "@caravel/domain"
import { Api, Remote } from "@caravel/http"
import * as OpenApi from "@effect/platform/OpenApi"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Record as Rec, Redacted, Ref } from "effect"
import {
  accept,
  Accepted,
  alice,
  bob,
  host,
  Logged,
  nostrAdmin,
  publicUrl,
  sendSigned,
  signed,
  wallet
} from "./fixtures/credentials.js"
import { command, get, send, url } from "./fixtures/served.js"

const events = Effect.flatMap(Journal, (journal) => journal.read(Position.make(0), 100))
const lastEvent = Effect.map(events, (events) => events.at(-1)!)

const deactivate = ["POST", "/v1/commands/deactivate-relay", { id: "a" }] as const

describe("a signed request", () => {
  it.live("is refused if it is for another request, or does not prove what it says", () =>
    Effect.gen(function*() {
      const [method, path, body] = deactivate
      const text = JSON.stringify(body)
      const sent = (headers: Record<string, string>, to = path, sentBody: unknown = text) =>
        Effect.map(send("POST", to, { headers, body: sentBody }), ({ json, status }) => [status, json.reason])
      const good = yield* signed(alice, method, path, text)
      const event = JSON.parse(Buffer.from(good.authorization.slice(6), "base64").toString())
      const changed = (change: object) => ({
        authorization: `Nostr ${Buffer.from(JSON.stringify({ ...event, ...change })).toString("base64")}`
      })
      const u = ["u", publicUrl + path]
      const tags = (...tags: Array<Array<string>>) => signed(alice, method, path, text, { tags })
      const payload = event.tags[2]
      const cases = [
        [yield* sent(yield* signed(alice, method, `${path}?a=1`, text)), "otherUrl"],
        [yield* sent(yield* tags(["u", `http://127.0.0.1${path}`], ["method", "POST"], payload)), "otherUrl"],
        [yield* sent(yield* tags(u, u, ["method", "POST"], payload)), "otherUrl"],
        [yield* sent(yield* signed(alice, "PUT", path, text)), "otherMethod"],
        [yield* sent(yield* signed(alice, method, path)), "otherBody"],
        [yield* sent(yield* signed(alice, method, path, `${text} `)), "otherBody"],
        [yield* sent(good, path, { id: "b" }), "otherBody"],
        [yield* sent(yield* signed(alice, method, path, text, { age: 62 })), "expired"],
        [yield* sent(yield* signed(alice, method, path, text, { age: -62 })), "expired"],
        [yield* sent(yield* signed(alice, method, path, text, { kind: 1 })), "malformed"],
        [yield* sent(changed({ sig: event.sig.replace(/^./, (c: string) => c === "0" ? "1" : "0") })), "badSignature"],
        [yield* sent(changed({ content: "x" })), "badSignature"],
        [yield* sent(changed({ pubkey: nostrAdmin.pubkey })), "badSignature"],
        [yield* sent(changed({ tags: "x" })), "malformed"],
        [yield* sent({ authorization: "Nostr !" }), "malformed"]
      ] as const
      expect(cases.map(([answer]) => answer)).toEqual(cases.map(([, reason]) => [401, reason]))
      expect(yield* sent(good)).toEqual([200, undefined])
      expect(yield* sent(good)).toEqual([401, "replayed"])
      expect((yield* lastEvent).metadata.actor).toBe(alice.pubkey)
      expect(yield* events).toHaveLength(5)
    }).pipe(Effect.provide(host())), 60_000)

  it.live("of another key than an administrator's is refused where tenants may not sign", () =>
    Effect.gen(function*() {
      yield* Ref.update(yield* Accepted, (accepted) => ({ ...accepted, nostr: { ...accepted.nostr!, tenants: false } }))
      expect((yield* sendSigned(nostrAdmin, ...deactivate)).status).toBe(200)
      expect((yield* sendSigned(alice, ...deactivate)).json).toMatchObject({ status: 401, reason: "disabled" })
      yield* Ref.update(yield* Accepted, ({ tokens }) => ({ tokens }))
      expect((yield* sendSigned(nostrAdmin, ...deactivate)).json).toMatchObject({ status: 401, reason: "disabled" })
    }).pipe(Effect.provide(host())), 60_000)
})

describe("a tenant", () => {
  it.live("sees only what is theirs", () =>
    Effect.gen(function*() {
      const all = yield* accept("reader", "readOnly")
      const own = yield* accept("alice's", "tenant")
      const ids = (path: string, headers: Record<string, string>) =>
        Effect.map(get(path, headers), ({ json }) => json.items.map((item: any) => item.pubkey ?? item.id))
      expect(yield* ids("/v1/relays", all)).toEqual(["a", "b"])
      expect(yield* ids("/v1/relays", own)).toEqual(["a"])
      expect(yield* ids(`/v1/relays?tenant=${bob.pubkey}`, own)).toEqual([])
      expect(yield* ids("/v1/relays?subdomain=b", own)).toEqual([])
      expect(yield* ids("/v1/relays?subdomain=a", own)).toEqual(["a"])
      expect(yield* ids("/v1/relays?cursor=a", own)).toEqual([])
      expect(yield* ids(`/v1/tenants/${bob.pubkey}/relays`, own)).toEqual([])
      expect(yield* ids("/v1/tenants", own)).toEqual([alice.pubkey])
      expect(yield* ids("/v1/tenants?pastDue=true", own)).toEqual([])
      expect(yield* ids(`/v1/tenants?cursor=${alice.pubkey}`, own)).toEqual([])
      const activity = (query: string, headers: Record<string, string>) =>
        Effect.map(get(`/v1/activity${query}`, headers), ({ json }) => json.items.map((item: any) => item.position))
      expect(yield* activity("", all)).toEqual([1, 2, 3, 4])
      expect(yield* activity("", own)).toEqual([1, 2])
      expect(yield* activity(`?tenant=${bob.pubkey}`, own)).toEqual([])
      expect(yield* activity("?resourceId=b", own)).toEqual([])
      const usage = (pubkey: string, headers: Record<string, string>) =>
        Effect.map(
          get(`/v1/usage/${pubkey}?from=2026-01-01&to=2050-01-01`, headers),
          ({ json }) => json.items.map((item: any) => item.relay)
        )
      expect(yield* usage(bob.pubkey, all)).toEqual(["b"])
      expect(yield* usage(alice.pubkey, own)).toEqual(["a"])
      expect(yield* usage(bob.pubkey, own)).toEqual([])
      // The resources of others are answered like those that do not exist.
      const other = yield* get("/v1/relays/b", own)
      const none = yield* get("/v1/relays/c", own)
      expect([other.status, other.text.replace(/\bb\b/g, "c")]).toEqual([404, none.text])
    }).pipe(Effect.provide(host())), 60_000)

  it.live(
    "sends a list only of commands on what is theirs, also on what the list creates",
    () =>
      Effect.gen(function*() {
        const own = yield* accept("alice's", "tenant")
        const submit = (...body: ReadonlyArray<object>) =>
          Effect.map(
            send("POST", "/v1/submit", { headers: own, body }),
            ({ json, status }) => [status, json.what ?? json.id]
          )
        const create = { _tag: "CreateRelay", id: "c", tenant: alice.pubkey, subdomain: "c" }
        const update = (id: string) => ({ _tag: "UpdateRelay", id, infoName: "C" })
        expect(yield* submit(update("a"), update("b"))).toEqual([404, "b"])
        expect(yield* submit(update("c"), create)).toEqual([404, "c"])
        expect(yield* submit({ ...create, tenant: bob.pubkey })).toEqual([404, undefined])
        expect(yield* submit({ ...create, id: "b" }, update("b"))).toEqual([409, "b"])
        expect(yield* submit(create, { _tag: "ActivateRelay", id: "c" })).toEqual([403, "ActivateRelay"])
        expect(yield* submit({ _tag: "UpdateTenant", pubkey: alice.pubkey, stripeCustomerId: "cus_1" })).toEqual([
          403,
          "stripeCustomerId"
        ])
        expect(yield* submit({ _tag: "CreateTenant", pubkey: bob.pubkey })).toEqual([403, "another tenant's pubkey"])
        expect(yield* submit({ _tag: "UpdateRelay", id: "" })).toEqual([400, undefined])
        expect(yield* events).toHaveLength(4)
        expect(yield* submit(create, update("c"))).toEqual([200, undefined])
      }).pipe(Effect.provide(host())),
    60_000
  )
})

it.live(
  "a stream has only what is the tenant's, and ends when the credential is revoked",
  () =>
    Effect.gen(function*() {
      const own = yield* accept("alice's", "tenant")
      const epoch = yield* Effect.flatMap(Journal, (journal) => journal.epoch)
      const base = yield* url
      const command = yield* Command
      const { body } = yield* Effect.promise(() =>
        fetch(`${base}/v1/activity/stream?since=${epoch}:0`, { headers: own })
      )
      const reader = body!.pipeThrough(new TextDecoderStream()).getReader()
      let text = ""
      const until = (pattern: RegExp) =>
        Effect.promise(async () => {
          while (!pattern.test(text)) {
            const { done, value } = await reader.read()
            if (done) return true
            text += value
          }
          return false
        })
      yield* until(/create_relay/)
      yield* command.deactivateRelay({ id: "b" })
      yield* command.deactivateRelay({ id: "a" })
      yield* until(/deactivate_relay/)
      expect([...text.matchAll(/^id: .*:(\d+)$/gm)].map(([, position]) => position)).toEqual(["1", "2", "6"])
      yield* Ref.update(yield* Accepted, (accepted) => ({ ...accepted, tokens: [] }))
      expect(yield* until(/never/)).toBe(true)
    }).pipe(Effect.provide(host())),
  60_000
)

it.live("a tenant's program registers it, creates a relay and reads its usage", () =>
  Effect.gen(function*() {
    const pubkey = "ca".repeat(32) as Pubkey
    const { authorization } = yield* accept("carol's", "tenant", { tenant: pubkey })
    const token = Redacted.make(authorization.replace("Bearer ", ""))
    yield* Effect.gen(function*() {
      const command = yield* Command
      yield* command.createTenant({ pubkey })
      yield* command.createRelay({ id: "carols", tenant: pubkey, subdomain: "carols" })
      const usage = yield* (yield* History).usage(pubkey, "2026-01-01", "2050-01-01")
      expect(usage.map(({ relay }) => relay)).toEqual(["carols"])
      const malformed = yield* Effect.flip((yield* History).usage(pubkey, "2050-01-01", "2026-01-01"))
      expect(malformed._tag).toBe("ParseError")
      expect((yield* Effect.flip(command.updateTenant({ pubkey, stripeCustomerId: null }))).message).toContain(
        "may not use stripeCustomerId"
      )
    }).pipe(Effect.provide(Remote.layer({ url: yield* url, token })))
  }).pipe(Effect.provide(host())), 60_000)

describe("a worker", () => {
  it.live("sets the customer of a tenant, and nothing else of it", () =>
    Effect.gen(function*() {
      const worker = yield* accept("billing", "worker")
      const update = (fields: object) => command("update-tenant", { pubkey: alice.pubkey, ...fields }, worker)
      expect((yield* update({ stripeCustomerId: "cus_1" })).status).toBe(200)
      expect((yield* update({ stripeCustomerId: "cus_1", nwcUrl: null })).json).toMatchObject({
        status: 403,
        type: "urn:caravel:problem:forbidden",
        role: "worker",
        what: "nwcUrl"
      })
    }).pipe(Effect.provide(host())), 60_000)
})

describe("the actor", () => {
  it.live("is the credential's name; only an administrator can name another", () =>
    Effect.gen(function*() {
      const actors = []
      for (const [name, role] of [["ops", "admin"], ["billing", "worker"]] as const) {
        const header = yield* accept(name, role)
        for (const named of [{}, { "caravel-actor": "someone" }]) {
          yield* command("activate-relay", { id: "a" }, { ...header, ...named })
          actors.push((yield* lastEvent).metadata.actor)
        }
      }
      expect(actors).toEqual(["ops", "someone", "billing", "billing"])
    }).pipe(Effect.provide(host())), 60_000)

  it.live("scopes idempotency keys", () =>
    Effect.gen(function*() {
      const [one, other] = [yield* accept("one", "worker"), yield* accept("other", "worker")]
      const key = { "idempotency-key": "8e03978e-40d5-43dd-bc93-6894a57f9324" }
      const activate = (header: Record<string, string>, id = "a") =>
        command(id === "a" ? "activate-relay" : "complete-relay-sync", { id: "a" }, { ...header, ...key })
      const first = yield* activate(one)
      expect((yield* activate(one)).json).toEqual(first.json)
      expect((yield* activate(one, "b")).json).toMatchObject({ status: 409, key: key["idempotency-key"] })
      const second = yield* activate(other, "b")
      expect([second.status, second.json.position]).toEqual([200, first.json.position + 1])
    }).pipe(Effect.provide(host())), 60_000)
})

describe("the secrets of a tenant", () => {
  it.live(
    "are answered to a credential with the grant, and the read is logged with its actor",
    () =>
      Effect.gen(function*() {
        const path = `/v1/tenants/${alice.pubkey}/secrets`
        const granted = yield* accept("payments", "worker", { grants: ["secrets"] })
        const { headers, json, status } = yield* get(path, granted)
        expect([status, json]).toEqual([200, { nwcUrl: wallet }])
        expect(headers.get("cache-control")).toBe("no-store")
        const lines = (yield* Logged).filter((line) => line.includes("secrets of a tenant were read"))
        expect(lines).toEqual([expect.stringMatching(new RegExp(`tenant=${alice.pubkey} actor=payments`))])
        expect((yield* Logged).join()).not.toContain("5c4e")
        yield* Effect.flatMap(Command, (command) => command.updateTenant({ pubkey: alice.pubkey, nwcUrl: null }))
        expect((yield* get(path, granted)).json).toEqual({ nwcUrl: null })
        const bobs = yield* accept("bob's", "tenant", { tenant: bob.pubkey, grants: ["secrets"] })
        expect((yield* get(path, bobs)).status).toBe(404)
        expect((yield* get(path, yield* accept("ops", "admin"))).json).toMatchObject({
          status: 403,
          what: "the grant secrets"
        })
      }).pipe(Effect.provide(host())),
    60_000
  )
})

it.live("each credential may send so many requests a minute", () =>
  Effect.gen(function*() {
    const [one, other] = [yield* accept("one", "readOnly"), yield* accept("other", "readOnly")]
    for (let i = 0; i < 2; i++) expect((yield* get("/v1/relays", one)).status).toBe(200)
    const { headers, json } = yield* get("/v1/relays", one)
    expect([json.status, json.type]).toEqual([429, "urn:caravel:problem:too-many-requests"])
    expect(headers.get("retry-after")).toBe(String(json.retryAfter))
    expect(json.retryAfter).toSatisfy((seconds: number) => seconds > 0 && seconds <= 60)
    expect((yield* get("/v1/relays", other)).status).toBe(200)
  }).pipe(Effect.provide(host({ rateLimit: 2 }))), 60_000)

it.live("what the API is and whether the host lives needs no credential", () =>
  Effect.gen(function*() {
    for (const path of ["/healthz", "/readyz", "/openapi.json", "/docs"]) expect((yield* get(path)).status).toBe(200)
  }).pipe(Effect.provide(host())), 60_000)

it("the OpenAPI document has both schemes, at every route that needs a credential", () => {
  const { components, paths } = OpenApi.fromApi(Api)
  expect(components.securitySchemes).toMatchObject({
    bearer: { type: "http", scheme: "bearer" },
    nostr: { type: "http", scheme: "Nostr" }
  })
  for (const [path, methods] of Object.entries(paths)) {
    for (const operation of Rec.values(methods as Record<string, any>)) {
      const needed = path.startsWith("/v1/") || path === "/metrics"
      expect([path, operation.security]).toEqual([path, needed ? [{ bearer: [] }, { nostr: [] }] : []])
      expect([path, "401" in operation.responses]).toEqual([path, needed])
    }
  }
})
