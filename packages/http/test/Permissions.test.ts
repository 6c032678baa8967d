/** Who may use which route: every route, every role, and every kind of credential that is not valid. */
import { Api } from "@caravel/http"
import * as HttpApi from "@effect/platform/HttpApi"
import { expect, it } from "@effect/vitest"
import { Effect, Record as Rec, Ref } from "effect"
import {
  accept,
  Accepted,
  alice,
  bob,
  host,
  Logged,
  makeToken,
  nostrAdmin,
  signed,
  wallet
} from "./fixtures/credentials.js"
import { type Answer, send } from "./fixtures/served.js"

const roles = ["admin", "worker", "readOnly", "tenant"] as const

const relay = { id: "a" }
const tenant = { pubkey: alice.pubkey }

/**
 * For each route: the status for an administrator, a worker, a credential that only reads, the tenant Alice, and the
 * tenant Bob, of a request that concerns Alice.
 */
const table: Record<string, readonly [statuses: readonly [number, number, number, number, number], body?: unknown]> = {
  createTenant: [[409, 403, 403, 409, 403], tenant],
  updateTenant: [[200, 403, 403, 200, 404], { ...tenant, nwcUrl: wallet }],
  createRelay: [[409, 403, 403, 409, 404], { ...relay, tenant: alice.pubkey, subdomain: "a" }],
  updateRelay: [[200, 403, 403, 200, 404], { ...relay, infoName: "A" }],
  deactivateRelay: [[200, 403, 403, 200, 404], relay],
  markRelayDelinquent: [[200, 200, 403, 403, 403], relay],
  activateRelay: [[200, 200, 403, 403, 403], relay],
  failRelaySync: [[200, 200, 403, 403, 403], { ...relay, syncError: "no" }],
  completeRelaySync: [[200, 200, 403, 403, 403], relay],
  deleteRelaySubscriptionItem: [[204, 204, 403, 403, 403], relay],
  setRelaySubscriptionItem: [[204, 204, 403, 403, 403], { ...relay, stripeSubscriptionItemId: "si_1" }],
  setTenantSubscription: [[204, 204, 403, 403, 403], { ...tenant, stripeSubscriptionId: "sub_1" }],
  clearTenantSubscription: [[204, 204, 403, 403, 403], tenant],
  setTenantNwcError: [[204, 204, 403, 403, 403], { ...tenant, nwcError: "no" }],
  clearTenantNwcError: [[204, 204, 403, 403, 403], tenant],
  setTenantPastDue: [[204, 204, 403, 403, 403], tenant],
  clearTenantPastDue: [[204, 204, 403, 403, 403], tenant],
  submit: [[200, 403, 403, 200, 404], [{ _tag: "DeactivateRelay", ...relay }]],
  tenants: [[200, 200, 200, 200, 200]],
  tenant: [[200, 200, 200, 200, 404]],
  secretsOf: [[403, 403, 403, 403, 403]],
  relaysOf: [[200, 200, 200, 200, 200]],
  relays: [[200, 200, 200, 200, 200]],
  relay: [[200, 200, 200, 200, 404]],
  activity: [[200, 200, 200, 200, 200]],
  activityStream: [[200, 200, 200, 200, 200]],
  tenantHistory: [[200, 200, 200, 403, 403]],
  relayHistory: [[200, 200, 200, 403, 403]],
  diff: [[200, 200, 200, 403, 403]],
  usage: [[200, 200, 200, 200, 200]],
  journal: [[200, 200, 200, 200, 200]],
  positionAt: [[200, 200, 200, 403, 403]],
  events: [[200, 200, 200, 403, 403]],
  tenantEvents: [[200, 200, 200, 403, 403]],
  relayEvents: [[200, 200, 200, 403, 403]],
  meteredEvents: [[200, 200, 200, 403, 403]],
  consumers: [[200, 200, 200, 403, 403]],
  consumer: [[404, 404, 404, 403, 403]],
  parked: [[404, 404, 404, 403, 403]],
  replay: [[404, 403, 403, 403, 403]],
  reset: [[404, 403, 403, 403, 403], { position: 0 }],
  drop: [[404, 403, 403, 403, 403]],
  verify: [[200, 403, 403, 403, 403]],
  metrics: [[200, 200, 200, 403, 403]]
}

/** The parameters that a route requires. */
const parameters: Record<string, string> = {
  diff: "?from=0&to=1",
  positionAt: "?instant=2026-01-01T00:00:00Z",
  usage: "?from=2026-01-01T00:00:00Z&to=2026-02-01T00:00:00Z"
}

const routes: Array<{ readonly name: string; readonly method: string; readonly path: string }> = []
HttpApi.reflect(Api, {
  onGroup: () => {},
  onEndpoint: ({ endpoint: { method, name, path }, group }) => {
    if (group.identifier === "host") return
    const filled = path.replace(":pubkey", alice.pubkey).replace(":id", "a").replace(":name", "none").replace(
      ":position",
      "1"
    )
    routes.push({ name, method, path: filled + (parameters[name] ?? "") })
  }
})

it("the table has every route of the API", () => {
  expect(routes.map(({ name }) => name).sort()).toEqual(Rec.keys(table).sort())
})

it.live(
  "each route answers each role and each credential as the table says, and no answer or log has a secret",
  () =>
    Effect.gen(function*() {
      const tokens = yield* Effect.forEach(roles, (role) => accept(`${role} token`, role))
      const expired = yield* Effect.forEach(roles, (role) => accept(`${role} expired`, role, { expired: true }))
      const revoked = yield* Effect.forEach(roles, (role) => accept(`${role} revoked`, role))
      yield* Ref.update(yield* Accepted, (accepted) => ({
        ...accepted,
        tokens: accepted.tokens.filter(({ name }) => !name.endsWith("revoked"))
      }))
      const unknown = yield* Effect.forEach(roles, (role) => Effect.map(makeToken(role, role), ({ header }) => header))
      const malformed = ["Bearer", "Bearer ", "Basic YTpi", "Nostr", "Nostr %", "Nostr e30="].map((authorization) => ({
        authorization
      }))
      const answers: Array<Answer> = []
      const wrong: Array<string> = []
      const check = (name: string, what: string, expected: number, answer: Answer) => {
        answers.push(answer)
        if (answer.status !== expected) wrong.push(`${name} ${what}: ${answer.status}, not ${expected}: ${answer.text}`)
        if (answer.status === 401) {
          expect(answer.headers.get("www-authenticate")).toBe("Bearer realm=\"caravel\", Nostr")
        }
      }
      for (const { method, name, path } of routes) {
        const [statuses, body] = table[name]!
        const sent = (headers: Record<string, string>) => send(method, path, { headers, body })
        for (const [i, role] of roles.entries()) check(name, role, statuses[i]!, yield* sent(tokens[i]!))
        const keys = [[nostrAdmin, statuses[0], "admin key"], [alice, statuses[3], "Alice"], [
          bob,
          statuses[4],
          "Bob"
        ]] as const
        for (const [key, expected, what] of keys) {
          const headers = yield* signed(key, method, path, body)
          check(name, what, expected, yield* sent(headers))
          // What was not permitted has not used the signature, so that nobody can fill the table of used ones.
          const again = method === "GET" || expected === 403 && permittedRoute(statuses) === false ? expected : 401
          check(name, `${what}, replayed`, again, yield* sent(headers))
          check(name, `${what}, too old`, 401, yield* sent(yield* signed(key, method, path, body, { age: 62 })))
        }
        check(name, "none", 401, yield* send(method, path, { body }))
        for (const headers of malformed) check(name, headers.authorization, 401, yield* sent(headers))
        for (const headers of [...expired, ...revoked, ...unknown]) {
          check(name, "invalid token", 401, yield* sent(headers))
        }
      }
      expect(wrong).toEqual([])
      const emitted = [
        ...answers.flatMap(({ headers, text }) => [text, JSON.stringify([...headers])]),
        ...(yield* Logged)
      ]
      const secrets = [
        "5c4e5c4e",
        ...[...tokens, ...expired, ...revoked, ...unknown].map(({ authorization }) => authorization.slice(7))
      ]
      for (const secret of secrets) {
        expect(emitted.filter((text) => text.includes(secret))).toEqual([])
      }
    }).pipe(Effect.provide(host())),
  300_000
)

/** Whether a tenant may use the route for what is its own. */
const permittedRoute = (statuses: ReadonlyArray<number>) => statuses[3] !== 403
