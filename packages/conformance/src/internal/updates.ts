/**
 * Updates keep absent fields and clear those that are null. A new resource gets the model's defaults for absent fields.
 */
import { Command, Query, type Relay, type Tenant } from "@caravel/domain"
import { expect } from "@effect/vitest"
import { Effect, type Layer, Option } from "effect"
import {
  alice,
  aliceUrl,
  at,
  bob,
  bobUrl,
  furnished,
  type Options,
  plainRelay,
  plainTenant,
  relayDefaults,
  type Services,
  specs,
  tenantDefaults
} from "./fixture.js"

const now = "2026-02-03T04:05:06.789Z"

const tenantOf = (pubkey: string) =>
  Effect.flatMap(Query, (query) => Effect.map(query.tenant(pubkey), (tenant) => plainTenant(Option.getOrThrow(tenant))))

const relayOf = (id: string) =>
  Effect.flatMap(Query, (query) => Effect.map(query.relay(id), (relay) => plainRelay(Option.getOrThrow(relay))))

const configured = {
  plan: "growth",
  infoName: "Name",
  infoIcon: "icon",
  infoDescription: "Text",
  policyPublicJoin: true,
  policyStripSignatures: true,
  groupsEnabled: true,
  managementEnabled: true,
  blossomEnabled: true,
  livekitEnabled: true,
  pushEnabled: true
} satisfies Options

export const updates = <E>(layer: Layer.Layer<Services, E>) => {
  const test = specs(layer)

  test(
    "a new tenant and a new relay get the model's defaults",
    Effect.gen(function*() {
      const command = yield* Command
      yield* Effect.all([
        command.createTenant({ pubkey: alice }),
        command.createTenant({ pubkey: bob, nwcUrl: null, stripeCustomerId: null }),
        command.createRelay({ id: "relay-1", tenant: alice, subdomain: "one" })
      ]).pipe(at(now))
      const created = { createdAt: now, version: 1 }
      expect(yield* tenantOf(alice)).toEqual({ ...tenantDefaults, pubkey: alice, ...created })
      expect(yield* tenantOf(bob)).toEqual({ ...tenantDefaults, pubkey: bob, ...created })
      expect(yield* relayOf("relay-1")).toEqual({
        ...relayDefaults,
        id: "relay-1",
        tenant: alice,
        subdomain: "one",
        ...created
      })
    })
  )

  test(
    "an update of a tenant without fields changes only its version",
    Effect.gen(function*() {
      yield* furnished
      const before = yield* tenantOf(alice)
      const command = yield* Command
      yield* command.updateTenant({ pubkey: alice })
      yield* command.updateTenant({ pubkey: alice, nwcUrl: undefined, stripeCustomerId: undefined })
      expect(yield* tenantOf(alice)).toEqual({ ...before, version: before.version + 2 })
    })
  )

  test(
    "an update of a tenant clears each field that is null, and no other",
    Effect.gen(function*() {
      yield* furnished
      const command = yield* Command
      yield* command.updateTenant({ pubkey: alice, stripeCustomerId: null })
      expect(yield* tenantOf(alice)).toMatchObject({ nwcUrl: aliceUrl, stripeCustomerId: null })
      yield* command.updateTenant({ pubkey: alice, stripeCustomerId: "cus_2" })
      expect(yield* tenantOf(alice)).toMatchObject({ nwcUrl: aliceUrl, stripeCustomerId: "cus_2" })
      yield* command.updateTenant({ pubkey: alice, nwcUrl: null })
      expect(yield* tenantOf(alice)).toMatchObject({ nwcUrl: null, stripeCustomerId: "cus_2" })
      yield* command.updateTenant({ pubkey: alice, nwcUrl: bobUrl })
      expect(yield* tenantOf(alice)).toMatchObject({ nwcUrl: bobUrl, stripeCustomerId: "cus_2", version: 8 })
    })
  )

  test(
    "an update of a relay sets a single field, or resets it to its default by null, and keeps all others",
    Effect.gen(function*() {
      yield* furnished
      const command = yield* Command
      let expected = yield* relayOf("relay-1")
      for (const [name, value] of Object.entries(configured)) {
        yield* command.updateRelay({ id: "relay-1", [name]: value })
        expected = { ...expected, [name]: value, version: expected.version + 1 }
        expect(yield* relayOf("relay-1")).toEqual(expected)
      }
      for (const name of Object.keys(configured) as Array<keyof typeof configured>) {
        yield* command.updateRelay({ id: "relay-1", [name]: null })
        expected = { ...expected, [name]: relayDefaults[name], version: expected.version + 1 }
        expect(yield* relayOf("relay-1")).toEqual(expected)
      }
      yield* command.updateRelay({ id: "relay-1" })
      expect(yield* relayOf("relay-1")).toEqual({ ...expected, version: expected.version + 1 })
    })
  )

  test(
    "an update never changes tenant, status, sync state and billing, whatever is passed",
    Effect.gen(function*() {
      yield* furnished
      const command = yield* Command
      yield* command.createTenant({ pubkey: bob })
      const before = yield* relayOf("relay-1")
      const stowaways = {
        id: "relay-1",
        tenant: bob,
        status: "active",
        synced: true,
        syncError: "",
        stripeSubscriptionItemId: "other",
        version: 77
      }
      yield* command.updateRelay(stowaways)
      expect(yield* relayOf("relay-1")).toEqual({ ...before, version: before.version + 1 })
    })
  )

  test(
    "whole models are accepted to identify or create a resource",
    Effect.gen(function*() {
      yield* furnished
      const command = yield* Command
      const query = yield* Query
      const relay: Relay = Option.getOrThrow(yield* query.relay("relay-1"))
      const tenant: Tenant = Option.getOrThrow(yield* query.tenant(alice))

      yield* command.deactivateRelay(relay)
      yield* command.failRelaySync(relay, "no machine")
      yield* command.updateRelay({ ...relay, subdomain: "uno" })
      yield* command.updateTenant(tenant)
      expect(yield* relayOf("relay-1")).toEqual({
        ...plainRelay(relay),
        subdomain: "uno",
        status: "inactive",
        syncError: "no machine",
        version: relay.version + 3
      })
      expect(yield* tenantOf(alice)).toEqual({ ...plainTenant(tenant), version: tenant.version + 1 })

      // A copy of a delinquent relay starts active, and a copy of a past-due tenant starts without a past-due date.
      yield* command.createTenant({ ...tenant, pubkey: bob }).pipe(at(now))
      yield* command.createRelay({ ...relay, id: "copy", tenant: bob, subdomain: "copy" }).pipe(at(now))
      expect(yield* tenantOf(bob)).toEqual({
        ...tenantDefaults,
        pubkey: bob,
        nwcUrl: aliceUrl,
        stripeCustomerId: "cus_alice",
        createdAt: now,
        version: 1
      })
      expect(yield* relayOf("copy")).toEqual({
        ...relayDefaults,
        id: "copy",
        tenant: bob,
        subdomain: "copy",
        plan: "growth",
        infoName: "One",
        createdAt: now,
        version: 1
      })
    })
  )

  test(
    "every change of status is accepted and logged",
    Effect.gen(function*() {
      yield* furnished
      const command = yield* Command
      const query = yield* Query
      const steps = ["activateRelay", "markRelayDelinquent", "deactivateRelay"] as const
      for (const first of steps) {
        for (const second of steps) {
          yield* command[first]({ id: "relay-1" })
          yield* command[second]({ id: "relay-1" })
        }
      }
      expect(yield* relayOf("relay-1")).toMatchObject({ status: "inactive", version: 4 + 18 })
      expect((yield* query.activity({ resourceId: "relay-1" })).length).toBe(3 + 18)
    })
  )
}
