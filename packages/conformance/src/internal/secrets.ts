/** `nwcUrl` can spend money: only `Query` returns it, redacted. */
import { ActivityPubSub, Command, decodeCommand, Query } from "@caravel/domain"
import { expect } from "@effect/vitest"
import { Effect, type Layer, Option, Redacted } from "effect"
import { malformedUrls } from "./cases.js"
import { alice, aliceUrl, bobUrl, invoke, journalAfter, type Services, specs, unchangedBy } from "./fixture.js"

/** Whether a secret can be found in a value: in its texts, its fields or its printed forms. */
export const leaks = (value: unknown, secret: string, seen = new Set<unknown>()): boolean => {
  if (typeof value === "string") return value.includes(secret)
  if (typeof value !== "object" && typeof value !== "function" || value === null || seen.has(value)) return false
  seen.add(value)
  if (String(value).includes(secret) || (JSON.stringify(value) ?? "").includes(secret)) return true
  if (value instanceof Error && `${value.message}${value.stack}`.includes(secret)) return true
  if (typeof value === "function") return false
  return Reflect.ownKeys(value).some((key) => {
    const { value: field } = Object.getOwnPropertyDescriptor(value, key)!
    // A schema contains no secrets and refers to itself endlessly.
    return key !== "ast" && leaks(field, secret, seen)
  })
}

const secret = "SECRET"

export const secrets = <E>(layer: Layer.Layer<Services, E>) => {
  const test = specs(layer)

  test(
    "a secret is in the tenant that Query returns, redacted, and in no event or activity",
    Effect.gen(function*() {
      const command = yield* Command
      const query = yield* Query
      const queue = yield* Effect.flatMap(ActivityPubSub, ({ subscribe }) => subscribe)
      const returned = [
        yield* command.createTenant({ pubkey: alice, nwcUrl: aliceUrl }),
        yield* command.updateTenant({ pubkey: alice, nwcUrl: Redacted.make(bobUrl) })
      ]
      const tenant = Option.getOrThrow(yield* query.tenant(alice))
      expect(Redacted.isRedacted(tenant.nwcUrl) && Redacted.value(tenant.nwcUrl)).toBe(bobUrl)
      const everything = {
        tenant,
        tenants: yield* query.tenants,
        events: yield* journalAfter(),
        activities: yield* query.activity(),
        broadcast: [...yield* queue.takeAll],
        returned
      }
      expect(everything.events.length).toBe(2)
      expect(leaks(everything, secret)).toBe(false)
      expect(leaks({ deep: [{ nwcUrl: aliceUrl }] }, secret)).toBe(true)
    })
  )

  test(
    "a secret is kept until it is replaced or cleared",
    Effect.gen(function*() {
      const command = yield* Command
      const query = yield* Query
      const current = Effect.map(query.tenant(alice), (tenant) => {
        const { nwcUrl } = Option.getOrThrow(tenant)
        return nwcUrl === null ? null : Redacted.value(nwcUrl)
      })
      yield* command.createTenant({ pubkey: alice, nwcUrl: aliceUrl })
      expect(yield* current).toBe(aliceUrl)
      yield* command.updateTenant({ pubkey: alice, stripeCustomerId: "cus" })
      yield* command.setTenantNwcError(alice, "no route")
      expect(yield* current).toBe(aliceUrl)
      yield* command.updateTenant({ pubkey: alice, nwcUrl: bobUrl })
      expect(yield* current).toBe(bobUrl)
      yield* command.updateTenant({ pubkey: alice, nwcUrl: bobUrl })
      expect(yield* current).toBe(bobUrl)
      yield* command.updateTenant({ pubkey: alice, nwcUrl: null })
      expect(yield* current).toBe(null)
      yield* command.updateTenant({ pubkey: alice, nwcUrl: null })
      expect(yield* current).toBe(null)
      yield* command.updateTenant({ pubkey: alice, nwcUrl: aliceUrl })
      expect(yield* current).toBe(aliceUrl)
    })
  )

  test(
    "a refused command's secret is in no error and replaces none",
    Effect.gen(function*() {
      const command = yield* Command
      const query = yield* Query
      yield* command.createTenant({ pubkey: alice, nwcUrl: bobUrl })
      const exists = yield* Effect.flip(command.createTenant({ pubkey: alice, nwcUrl: aliceUrl }))
      expect(leaks(exists, "ALICE-SECRET")).toBe(false)
      const missing = yield* Effect.flip(command.updateTenant({ pubkey: "0".repeat(64), nwcUrl: aliceUrl }))
      expect(leaks(missing, "ALICE-SECRET")).toBe(false)
      const tenant = Option.getOrThrow(yield* query.tenant(alice))
      expect(tenant.nwcUrl && Redacted.value(tenant.nwcUrl)).toBe(bobUrl)
    })
  )

  test(
    "no error contains a secret that is malformed or passed with malformed input",
    Effect.gen(function*() {
      const { after, before, result } = yield* unchangedBy(
        Effect.forEach(["createTenant", "updateTenant"] as const, (method) =>
          Effect.forEach(
            [
              ...malformedUrls.map((nwcUrl) => ({ pubkey: alice, nwcUrl })),
              ...malformedUrls.map((nwcUrl) => ({ pubkey: alice, nwcUrl: Redacted.make(nwcUrl) })),
              { pubkey: "malformed", nwcUrl: aliceUrl },
              { nwcUrl: aliceUrl },
              { pubkey: alice, nwcUrl: aliceUrl, stripeCustomerId: 5 }
            ],
            (argument) =>
              Effect.zip(
                Effect.flip(invoke(method, [argument])),
                Effect.flip(
                  decodeCommand({ _tag: method === "createTenant" ? "CreateTenant" : "UpdateTenant", ...argument })
                )
              )
          ))
      )
      for (const error of result.flat(2)) {
        expect(error._tag).toBe("ParseError")
        expect(leaks(error, "SECRET")).toBe(false)
      }
      expect(after).toEqual(before)
    })
  )
}
